"""Without any telemetry there is silence, whatever the rules make of missing data."""

from gridtone.rules import Evaluator
from gridtone.words import Words

NO_TELEMETRY: Words = {
    "en": "Silent because no signal has a fresh reading: the grid is not seen at all, whatever the rules make of that.",
    "zh": "没有任何信号有新读数，无法看到电网，音乐静音（不论规则如何处理缺失的数据）。",
}


def unseen(evaluator: Evaluator) -> Words | None:
    """Why there must be silence, where the rules look at the grid and see nothing of it.

    `on_stale` lets a state do without some of its signals, and `absent` a signal without its points; neither is to play the last mood to a dead feed.
    """
    looking = [gauge for gauge in evaluator.gauges.values() if gauge.signal.of]
    return NO_TELEMETRY if looking and not any(gauge.fresh_count for gauge in looking) else None
