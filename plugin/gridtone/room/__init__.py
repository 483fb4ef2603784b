"""The control room: when music must be silent, how loud it may be, and whether the room's own alarms stand out of it.

* `settings.py`        what the room asks: hours, desks, alarms, speech
* `policy.py`          when there must be silence, and why
* `telemetry.py`       without any telemetry there is silence
* `masking.py`         the band where alarms and speech are heard, in states close to an alarm
* `audit.py`           the room's alarms against the music: is any of them masked?
* `audit_bands.py`     levels in octaves and thirds, and what they mask
* `audit_inputs.py`    alarms, measured levels, tracks
* `audit_examples.py`  alarms and calibration noise to try it with
* `audit_report.py`    the report, for people to sign and for programs
"""
