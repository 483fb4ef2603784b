"""Tracks, plays, failures and the history of states: a database and content-addressed audio files.

* `library.py`    `Library`: everything that is kept, behind one object
* `track.py`, `span.py`  what it hands out
* `tables.py`     the tables; `migrations/` how a database of any age becomes today's
* `store.py`      audio files under their own SHA-256, on disk or wherever fsspec reaches
* `audio.py`      samples to FLAC and Opus
* `retention.py`  which tracks go when age, plays or the disk budget say so
* `lock.py`       one service a data directory

A track is either wholly here or not at all: its files are complete and on disk before its row is committed, its row is gone before its files are, and opening
the library sweeps away whatever a crash left between the two.
"""
