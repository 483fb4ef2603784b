"""Does undertone do what it is asked? Judged by programs that nobody here wrote, on prompts and pieces that training never met.

* `asking.py`   the prompts, in English and Chinese
* `hearing.py`  what the evaluators hear in a track: basic-pitch, librosa, pyloudnorm, and musicnn where it is installed
* `table.py`    figures from what was heard, each beside the composer's and beside shuffled prompts
* `verdict.py`  whether it wins or ties in all of them, which is what `auto` asks
* `run.py`      makes the tracks, keeps them, has them heard; what was stopped goes on
"""
