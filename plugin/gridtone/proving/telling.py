"""An explanation, a replay and a difference of rules, told in a terminal."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from gridtone.alarms import AlarmsView
from gridtone.proving.timeline import Difference, StateFigures, Timeline, changes_an_hour
from gridtone.proving.trial import in_words
from gridtone.rules.explanation import Explanation, StateReasons
from gridtone.rules.standing import Comparison, SignalView
from gridtone.stock.view import ForecastView
from gridtone.words import Words

VERDICTS = {"active": "ACTIVE", "true": "true, lost by priority", "waiting": "true, `for` runs", "unknown": "unknown: data are missing", "false": "false"}
DIFFERENCES_SHOWN = 20
LIKELY_SHOWN = 5
LEAST_PROBABILITY = 0.01
MANY_LAPSES = 10


def explained(explanation: Explanation) -> Iterator[str]:
    """Which state, why, what else was true, what is about to be, and every signal."""
    standing, now = explanation.standing, explanation.time
    signals = {signal.name: signal for signal in explanation.signals}
    yield f"{standing.state} ({standing.severity}) since {clock(standing.since)}, for {in_words(round(now - standing.since))}: {standing.reason['en']}"
    if standing.holds_until is not None and standing.holds_until > now:
        yield f"its `hold` keeps it for {in_words(round(standing.holds_until - now, 1))} more"
    yield from (f"`{other.state}` will be true in {in_words(round(other.enters_at - now, 1))} if nothing changes" for other in standing.pending)
    if explanation.forecast:
        yield from _forecast(explanation.forecast)
    if explanation.alarms and explanation.alarms.configured:
        yield from _alarms(explanation.alarms, now)
    yield ""
    for state in explanation.states:
        yield from _state(state, signals, now)
    yield ""
    yield "signals"
    for signal in explanation.signals:
        age = "no reading yet" if signal.age_seconds is None else f"{in_words(round(signal.age_seconds, 1))} old"
        where = f" at {signal.point}" if signal.point else f" = {signal.expression}" if signal.expression else ""
        yield f"  {signal.name}: {_amount(signal)}, {age}{', UNKNOWN: stale or missing' if signal.stale else ''}{where}"


def _forecast(forecast: ForecastView) -> Iterator[str]:
    """Where the grid is going: the likeliest other states within the time that the stock looks ahead."""
    shown = [likely for likely in forecast.likely[:LIKELY_SHOWN] if likely.probability >= LEAST_PROBABILITY]
    within = in_words(round(forecast.horizon_seconds))
    yield f"likely within {within}:" if shown else f"no other state is likely within {within}"
    yield from (f"  {likely.probability:>4.0%} {likely.state}: {likely.reason['en']}" for likely in shown)


def _alarms(alarms: AlarmsView, now: float) -> Iterator[str]:
    room = alarms.room
    yield room.reason["en"] or "no alarm keeps the music silent"
    if room.returns_at is not None:
        yield f"the music returns in {in_words(round(max(0.0, room.returns_at - now), 1))}"
    flood = ", a FLOOD" if alarms.flood else ""
    yield f"alarms: {alarms.total} not cleared, {alarms.unacknowledged} of them to be acknowledged, {alarms.recent} new ones{flood}"
    yield from (f"  {problem['en']}" for problem in alarms.problems)
    for alarm in alarms.alarms:
        since = f", since {clock(alarm.since)}" if alarm.since is not None else ""
        marks = f"{', chattering' if alarm.chattering else ''}{', stale' if alarm.stale else ''}"
        yield f"  {alarm.title['en']}: {alarm.state}, {alarm.priority}{since}{marks}"


def _state(state: StateReasons, signals: dict[str, SignalView], now: float) -> Iterator[str]:
    verdict = VERDICTS[state.verdict]
    if state.verdict == "waiting" and state.enters_at is not None:
        verdict += f" for {in_words(round(max(0.0, state.enters_at - now), 1))} more"
    yield f"{state.priority:>5} {state.state}: {verdict}"
    if not state.when:
        yield "        the fallback, while no other state is true"
        return
    yield f"        when  {state.when}"
    if state.clear:
        yield f"        clear {state.clear}{' (must be true before it ends)' if state.entered else ''}"
    if state.clears_in is not None:
        yield f"        may end in {in_words(round(state.clears_in))}, if its signals go on as they do now"
    for comparison in state.comparisons:
        yield f"          {_compared(comparison, signals[comparison.signal])}"


def _compared(comparison: Comparison, signal: SignalView) -> str:
    unit = f" {signal.unit}" if signal.unit else ""
    text = f"{comparison.signal} {comparison.operator} {comparison.limit:g}{unit}"
    if comparison.margin is None:
        return f"?  {text}: unknown"
    return f"{'+' if comparison.true else '-'}  {text}: {_amount(signal)}, margin {comparison.margin:.4g}{unit}{', decides' if comparison.decides else ''}"


def _amount(signal: SignalView) -> str:
    return "no value" if signal.value is None else f"{signal.value:.6g}{f' {signal.unit}' if signal.unit else ''}"


def replayed(name: str, timeline: Timeline, found: Sequence[StateFigures]) -> Iterator[str]:
    """Time in each state, flaps, longest dwell, changes an hour, tracks."""
    start, end = timeline.stretches[0].start, timeline.stretches[-1].end
    counters = timeline.counters
    yield f"{name}: {clock(start)} to {clock(end)} UTC, {counters.readings:,} readings, {len(timeline.stretches) - 1:,} changes of state"
    unused = {field: getattr(counters, field) for field in ("bad", "late", "ahead", "absurd", "unlisted") if getattr(counters, field)}
    if unused:
        yield f"  not used: {', '.join(f'{count:,} {field}' for field, count in unused.items())}"
    if timeline.unseen:
        yield f"  no readings of: {', '.join(timeline.unseen)}; what depends on them is unknown"
    if timeline.lapses >= MANY_LAPSES:
        yield f"  data went missing {timeline.lapses:,} times: where readings lie as far apart as `stale_after`, --stale-after replaces it"
    yield f"  changes an hour: {changes_an_hour(timeline):.3g} at the 99th percentile, {changes_an_hour(timeline, 100):.0f} at most"
    yield f"  {'state':<20}{'time':>14}{'share':>8}{'entered':>9}{'longest':>14}{'flaps':>7}{'plays':>7}{'tracks':>8}"
    for state in found:
        time, longest = in_words(round(state.seconds)), in_words(round(state.longest_seconds))
        yield f"  {state.state:<20}{time:>14}{state.share:>8.1%}{state.entries:>9}{longest:>14}{state.flaps:>7}{state.plays:>7}{state.tracks:>8}"


def differed(name: str, other: str, found: Sequence[Difference], total_seconds: float) -> Iterator[str]:
    """What would have been different, and when."""
    seconds = sum(difference.end - difference.start for difference in found)
    yield f"different for {in_words(round(seconds))} ({seconds / max(total_seconds, 1e-9):.2%}), in {len(found):,} stretches"
    pairs: dict[tuple[str, str], float] = {}
    for difference in found:
        pair = difference.state, difference.other
        pairs[pair] = pairs.get(pair, 0.0) + difference.end - difference.start
    for (state, instead), length in sorted(pairs.items(), key=lambda item: -item[1]):
        yield f"  {in_words(round(length)):>12}  {state} in {name}, {instead} in {other}"
    for difference in islice(found, DIFFERENCES_SHOWN):
        why = _why_then(difference.reason, difference.since, difference.start)
        yield f"  {clock(difference.start)} for {in_words(round(difference.end - difference.start, 1))}: {difference.state}{why}"
        yield f"{'':>22}instead: {difference.other}{_why_then(difference.other_reason, difference.other_since, difference.start)}"
    if len(found) > DIFFERENCES_SHOWN:
        yield f"  and {len(found) - DIFFERENCES_SHOWN:,} more"


def _why_then(reason: Words, since: float, now: float) -> str:
    """A reason is told when a state is entered; later its values are others."""
    return f" ({reason['en']})" if since == now else f" since {clock(since)} (then: {reason['en']})"


def clock(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}"
