"""The application that joins telemetry and music: grid, rules, conductor, stock, gate, library, server and command line.

    adapters --Reading--> rules --Standing--> conductor --Cue--> listeners
                                                 |  ^
                                  what to sample v  | tracks
                                       stock --Prompt--> sampler (engine, gate) --> library

Nobody ever waits for the sampler: it works ahead of time, in a process of its own, and keeps a stock of checked tracks for every state that the rules can
reach. A change of state only picks a track.

* `config.py`     every setting of a site, one YAML file
* `documents.py`  YAML files read so that every error has a line, a column and a likely fix
* `rules/`        points, signals and states: which state the grid is in, and why
* `proving/`      what an engineer does with rules before they play: tests, doubts, history replayed, explanations
* `editing/`      the rules of a running site, edited on a page: checked, compared, saved as versions
* `recent.py`     the readings of the last hours on disk, for a replay
* `conductor.py`  from a state to a cue: which track plays now, or why there is silence
* `stock/`        what to sample next, and the process that samples it
* `gate/`         what every track must pass before anyone hears it
* `library/`      tracks, plays, failures and the history of states: a database and content-addressed audio files
* `events.py`     what listeners are told, in order, resumable
* `service.py`    all of it running in one process
* `server/`       HTTP, server-sent events and the web player
* `cli/`          the command line, one file a topic
* `doctor.py`     what works here and what does not
* `demo/`         a real grid to listen to: SimBench's, solved by pandapower, published over MQTT

This package imports the other two; nothing imports this one. Nothing here writes to the telemetry side, except `demo/`, which publishes to the broker that it
started itself.
"""
