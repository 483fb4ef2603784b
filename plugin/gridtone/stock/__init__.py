"""What to sample next, and the process that samples it.

* `stock.py`     `Stock`: keeps every state's stock full, on a schedule and on demand
* `forecast.py`  where the grid is going: how likely each state is, learnt from the history of states
* `ramps.py`     which states the signals approach
* `pace.py`      how long a track takes to make, and so how far to look ahead
* `planner.py`   which tracks to make next: a pure function
* `engines.py`   the chain of engines: which one works now, and why the preferred one does not
* `sampler.py`   the supervisor of the sampler process: starts, feeds, watches and kills it
* `worker.py`    the sampler process itself: engine, gate, FLAC and Opus
* `messages.py`  what the two say to each other: JSON lines
* `view.py`      what people see of it
"""
