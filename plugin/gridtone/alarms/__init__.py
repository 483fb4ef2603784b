"""Alarms as telemetry brings them: which stand, who has acknowledged them, and when there are too many.

    board = AlarmBoard(settings, now)
    board.take("scada", readings, now)              # from the adapter of that name
    board.tick(now)                                 # time passes: alarms go stale, a flood ends
    board.most_urgent("low")                        # what somebody has to acknowledge

* `settings.py`  which points are alarms, and the limits of ISA-18.2
* `board.py`     every alarm with its state
* `kept.py`      what outlives a restart
* `view.py`      what people and programs are shown

Nothing here decides about music: `gridtone.room` does.
"""

from gridtone.alarms.board import Alarm, AlarmBoard
from gridtone.alarms.kept import KeptAlarm, KeptAlarms
from gridtone.alarms.settings import AlarmSettings, AlarmSource, Priority
from gridtone.alarms.view import AlarmsView, AlarmView, RoomView

__all__ = ["Alarm", "AlarmBoard", "AlarmSettings", "AlarmSource", "AlarmView", "AlarmsView", "KeptAlarm", "KeptAlarms", "Priority", "RoomView"]
