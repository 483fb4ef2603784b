"""What rules do, before they do it: told stories, checked for sense, run over history.

* `series.py`   fabricated readings in a compact notation
* `cases.py`    a file of rule tests
* `trial.py`    runs them
* `report.py`   their report, for people and as JUnit XML
* `check.py`    a file checked; `doubts.py` what is hardly meant in it
* `cells.py`    all that signals can be, as far as conditions tell
* `sources.py`  which points an adapter can deliver
* `past.py`     history: a recording, or the database of a site
* `timeline.py` rules run over history, and the figures of it; `picture.py` draws them
* `asking.py`   an explanation, of a service or of a moment in a recording
* `telling.py`  all that in a terminal

Nothing here runs in the service: it is what an engineer asks of rules at a desk. The rules page asks it too, in a process of its own (`gridtone.editing`).
"""
