"""What every track must pass before anyone hears it.

* `limits.py`    every threshold
* `finish.py`    what is done to a rendition first: DC, fades, loudness, peaks
* `check.py`     the judgement
* `loudness.py`  loudness and true peak
* `defects.py`   clicks, dead air, sudden rises, DC, missing fades
* `alarms.py`    what could be taken for an alarm
"""
