"""A Reading: one value of one point of the grid."""

from enum import IntEnum
from typing import NamedTuple


class Quality(IntEnum):
    """How far a reading can be trusted, as SCADA systems grade it. Ordered: a higher number is better."""

    BAD = 0
    UNCERTAIN = 1
    GOOD = 2


class Reading(NamedTuple):
    """One value of one point. A tuple, because a grid sends thousands of them a second."""

    point: str
    """Path of the point, such as `line/HV-12/loading_pct`."""
    value: float
    """Finite. Switches and alarms are 0.0 or 1.0."""
    time: float
    """Source timestamp, seconds since the Unix epoch (UTC): when the value was measured, not when it arrived. 0.0 when nobody knows, which is never fresh."""
    unit: str = ""
    quality: Quality = Quality.GOOD
