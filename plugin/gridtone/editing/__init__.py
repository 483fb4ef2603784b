"""The rules of a running site, edited: checked and tried while they are written, saved as versions, rolled back.

* `desk.py`        what the rules page can ask for
* `rules_file.py`  the file that the rules live in, watched and written
* `checking.py`    a text checked; `comparing.py` run over the last hours beside the rules in force
* `helper.py`      the process that does both, so that the music never waits for an editor
* `views.py`       what the page gets to see

The versions themselves stand in the library's database, the readings of the last hours in `gridtone.recent`.
"""
