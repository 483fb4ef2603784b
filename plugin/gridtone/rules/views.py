"""A Standing made from an evaluator: the active state, and why, in sentences for an operator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gridtone.rules.condition import All, AnyOf, Compare, Condition, Not, Truth, comparisons, judge
from gridtone.rules.gauges import Derived, Gauge
from gridtone.rules.model import title_of
from gridtone.rules.standing import NO_DATA, NO_STATE, Comparison, Pending, SignalView, Standing
from gridtone.words import Words

if TYPE_CHECKING:
    from gridtone.rules.evaluator import Evaluator, Live

MAX_SIGNALS = 20
"""Signals shown where no condition singles them out."""
_TITLES: dict[str, Words] = {NO_DATA: {"en": "no data", "zh": "无数据"}, NO_STATE: {"en": "not recognised", "zh": "未识别"}}
_LIMITS = {
    "en": {">": "above {}", ">=": "at least {}", "<": "below {}", "<=": "at most {}", "==": "", "!=": "not {}"},
    "zh": {">": "高于 {}", ">=": "不低于 {}", "<": "低于 {}", "<=": "不高于 {}", "==": "", "!=": "不等于 {}"},
}
_OPPOSITE = {">": "<=", ">=": "<", "<": ">=", "<=": ">", "==": "!=", "!=": "=="}


def describe(evaluator: Evaluator, now: float) -> Standing:
    """The active state with its reasons, values and ages as of `now`."""
    name, rules = evaluator.active, evaluator.rules
    live = _speaking(evaluator)
    when, clear = (live.state.when, live.state.clear) if live is not None else (None, None)
    spoken = [comparison for condition in (when, clear) if condition is not None for comparison in comparisons(condition)]
    deciding = decisive(evaluator, when)
    gauges = list(dict.fromkeys(gauge for comparison in spoken for gauge in _behind(evaluator.gauges[comparison.signal])))
    state = rules.states.get(name)
    return Standing(
        state=name,
        title=_TITLES[name] if state is None else title_of(name, state),
        severity="unknown" if state is None else state.severity,
        since=evaluator.since,
        rule=str(when) if when is not None else "",
        reason={language: _reason(evaluator, live, now, language) for language in ("en", "zh")},
        silent=state is None or state.silent,
        clears=str(clear) if clear is not None else "",
        comparisons=tuple(compared(evaluator, c, c in deciding) for c in dict.fromkeys(comparisons(when) if when is not None else ())),
        signals=tuple(view(gauge, evaluator, now) for gauge in gauges or list(evaluator.gauges.values())[:MAX_SIGNALS]),
        also_true=tuple(other.name for other in evaluator.ranked if other.eligible and other.name != name),
        holds_until=evaluator.holds_until(),
        pending=tuple(Pending(state, at) for state, at in evaluator.pending().items()),
    )


def compared(evaluator: Evaluator, comparison: Compare, decides: bool) -> Comparison:
    """A comparison as it stands now."""
    value = evaluator.gauges[comparison.signal].known()
    margin = None if value is None else abs(value - comparison.limit)
    return Comparison(comparison.signal, comparison.operator, comparison.limit, evaluator.truths[comparison] is True, decides, margin)


def decisive(evaluator: Evaluator, when: Condition | None) -> list[Compare]:
    """The comparisons that make a condition true; none while it is not."""
    return _why(when, evaluator.truths, True) if when is not None and judge(when, evaluator.truths) else []


def view(gauge: Gauge, evaluator: Evaluator, now: float) -> SignalView:
    """A signal as of `now`."""
    value, slot = gauge.known(), gauge.decisive()
    newest = gauge.measured()
    age = max(0.0, now - newest) if newest > -math.inf else None
    shown = value if value is not None else gauge.last
    point = evaluator.points.names[gauge.members[slot]] if slot >= 0 else ""
    return SignalView(gauge.name, title_of(gauge.name, gauge.signal), shown, gauge.unit, age, value is None, point, str(gauge.signal.expression or ""))


def _behind(gauge: Gauge) -> list[Gauge]:
    """A signal, and those that its expression names."""
    return [gauge, *gauge.made_of.values()] if isinstance(gauge, Derived) else [gauge]


def _speaking(evaluator: Evaluator) -> Live | None:
    """The state whose condition explains the active one: its own, or for no data the one that is unknown."""
    if evaluator.active == NO_DATA:
        return next((live for live in evaluator.ranked if live.eligible is None), None)
    return next((live for live in evaluator.ranked if live.name == evaluator.active), None)


def _reason(evaluator: Evaluator, live: Live | None, now: float, language: str) -> str:
    english = language == "en"
    if live is None:
        fallback = evaluator.rules.states.get(evaluator.active)
        if fallback is not None and fallback.reason is not None:
            return _in(fallback.reason, language)
        return "no other state applies" if english else "其他状态均不成立"
    when = live.state.when
    assert when is not None
    truth = judge(when, evaluator.truths)
    if truth and live.state.reason is not None:
        return _in(live.state.reason, language)
    if truth:
        return _sentence(evaluator, _why(when, evaluator.truths, True), language)
    if live.eligible and truth is False and live.state.clear is not None:
        sentence = _sentence(evaluator, _why(live.state.clear, evaluator.truths, False), language)
        return f"not cleared yet: {sentence}" if english else f"尚未解除：{sentence}"
    unknown = next((c for c in [*comparisons(when), *(comparisons(live.state.clear) if live.state.clear else ())] if evaluator.truths[c] is None), None)
    if unknown is not None:
        missing = _missing(evaluator, evaluator.gauges[unknown.signal], now, language)
        if live.eligible is None:
            return missing
        return f"{missing}; the rule says to go on" if english else f"{missing}；规则规定保持此状态"
    return f"stays for {_seconds(live.state.hold)} at least" if english else f"至少保持 {_seconds(live.state.hold)}"


def _why(condition: Condition, truths: Mapping[Compare, Truth], wanted: bool) -> list[Compare]:
    """The comparisons that make the condition true (or not true, for `wanted` False)."""
    match condition:
        case Compare():
            return [condition]
        case Not(part):
            return _why(part, truths, not wanted)
        case All(parts) | AnyOf(parts):
            if isinstance(condition, All) == wanted:
                return [comparison for part in parts for comparison in _why(part, truths, wanted)]
            return next((_why(part, truths, wanted) for part in parts if judge(part, truths) is wanted), _why(parts[0], truths, wanted))


def _sentence(evaluator: Evaluator, decisive: list[Compare], language: str) -> str:
    """`highest line loading is 112 % (line HV-12), above 100 %`; of at most two signals."""
    clauses = []
    for signal in list(dict.fromkeys(comparison.signal for comparison in decisive))[:2]:
        gauge = evaluator.gauges[signal]
        title = _in(title_of(signal, gauge.signal), language)
        value, slot = gauge.known(), gauge.decisive()
        limits = []
        for comparison in decisive:
            if comparison.signal == signal:
                operator = comparison.operator if value is None or comparison.holds(value) else _OPPOSITE[comparison.operator]
                if phrase := _LIMITS[language][operator]:
                    limits.append(phrase.format(_amount(comparison.limit, gauge.unit)))
        near = [comparison.limit for comparison in decisive if comparison.signal == signal]
        amount = ("unknown" if language == "en" else "未知") if value is None else _amount(value, gauge.unit, near)
        which = _label(evaluator.points.names[gauge.members[slot]]) if slot >= 0 and "*" in "".join(gauge.signal.of) else ""
        if language == "en":
            clauses.append(f"{title} is {amount}{f' ({which})' if which else ''}{', ' if limits else ''}{' and '.join(limits)}")
        else:
            clauses.append(f"{title}为 {amount}{f'（{which}）' if which else ''}{'，' if limits else ''}{'且'.join(limits)}")
    return ("; " if language == "en" else "；").join(clauses)


def _missing(evaluator: Evaluator, gauge: Gauge, now: float, language: str) -> str:
    english, title = language == "en", _in(title_of(gauge.name, gauge.signal), language)
    if isinstance(gauge, Derived):
        unknown = next((named for named in gauge.made_of.values() if named.known() is None), None)
        if unknown is not None:
            return _missing(evaluator, unknown, now, language)
        return f"{title} has no value: {gauge.expression}" if english else f"{title}无法计算：{gauge.expression}"
    total = len(gauge.members)
    age = view(gauge, evaluator, now).age_seconds
    limit = _seconds(gauge.stale_after)
    if age is None:
        return f"no data yet for {title}" if english else f"{title}尚无数据"
    if total > 1 and age < gauge.stale_after:
        stale = total - gauge.fresh_count
        return f"{title}: {stale} of {total} points have been silent for {limit}" if english else f"{title}：{total} 个测点中有 {stale} 个超过 {limit} 未更新"
    if age >= gauge.stale_after:
        return (
            f"no current data for {title}: last reading {_seconds(age)} ago (limit {limit})"
            if english
            else f"{title}数据已过期：{_seconds(age)} 前（限值 {limit}）"
        )
    return f"not enough data yet for {title}" if english else f"{title}数据不足"


def _in(words: Words, language: str) -> str:
    return words.get(language) or words["en"]


def _label(point: str) -> str:
    """`line/HV-12/loading_pct` as `line HV-12`."""
    return " ".join(point.split("/")[:-1]) or point


def _amount(value: float, unit: str, near: list[float] | None = None) -> str:
    """Four digits, or as many as it takes to tell the value from the limits near it."""
    digits = 4
    while digits < 12 and any(value != limit and float(f"{value:.{digits}g}") == limit for limit in near or ()):
        digits += 1
    rounded = float(f"{value:.{digits}g}")
    text = f"{rounded:.{digits}g}" if 1e-4 <= abs(rounded) < 10**digits or rounded == 0 else f"{rounded:.0f}" if 1 <= abs(rounded) < 1e12 else f"{rounded:g}"
    return f"{text} {unit}" if unit else text


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
