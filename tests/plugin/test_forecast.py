"""The forecast: what history and the signals say about where the grid goes next."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtone.library.span import StateSpan
from gridtone.proving.telling import explained
from gridtone.rules import Evaluator, load_rules
from gridtone.rules.explanation import explain
from gridtone.stock.forecast import Forecast
from gridtone.stock.ramps import cleared_in, reached_in, slope
from gridtone.trend import Trends
from gridtone_adapters import Quality

HOUR, DAY = 3600.0, 86400.0
MONDAY = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
STATES = ("emergency", "peak", "night", "day")


def spans(*stretches: tuple[str, float, float]) -> list[StateSpan]:
    return [StateSpan(state, "normal", start, end, {"en": ""}) for state, start, end in stretches]


def weeks(count: int, start: float = MONDAY) -> list[StateSpan]:
    """Night until 6, day until some time past 17, peak until 20 on working days, day until 23."""

    def stretches() -> Iterator[tuple[str, float, float]]:
        for number in range(7 * count):
            midnight = start + number * DAY
            hours = [("night", 0), ("day", 6), ("peak", 17 + number * 13 % 50 / 60), ("day", 20), ("night", 23), ("", 24)]
            if number % 7 > 4:
                hours = [("night", 0), ("day", 6), ("night", 23), ("", 24)]
            yield from ((state, midnight + begin * HOUR, midnight + end * HOUR) for (state, begin), (_, end) in pairwise(hours))

    return spans(*stretches())


def likely(forecast: Forecast, current: str, since: float, now: float, horizon: float = 2 * HOUR) -> dict[str, float]:
    return {state: round(each.probability, 3) for state, each in forecast.expect(STATES, current, since, now, horizon).items()}


def test_without_history_the_graver_state_is_expected_sooner() -> None:
    expected = likely(Forecast(UTC), "day", MONDAY, MONDAY + HOUR)
    assert expected["day"] == 1
    assert 0.3 > expected["emergency"] > expected["peak"] > expected["night"] > 0


def test_it_learns_the_hour_and_the_kind_of_day() -> None:
    forecast = Forecast(UTC)
    forecast.learn(weeks(8))
    monday, saturday = MONDAY + 56 * DAY, MONDAY + 61 * DAY
    before_peak = likely(forecast, "day", monday + 6 * HOUR, monday + 16 * HOUR)
    assert before_peak["peak"] > 0.8 and before_peak["night"] < 0.1
    assert likely(forecast, "day", monday + 6 * HOUR, monday + 9 * HOUR)["peak"] < 0.1
    assert likely(forecast, "day", monday + 20 * HOUR, monday + 22 * HOUR)["night"] > 0.8
    assert likely(forecast, "day", saturday + 6 * HOUR, saturday + 16 * HOUR)["peak"] < 0.7
    assert forecast.expect(STATES, "day", monday, monday + 17.5 * HOUR, 900)["peak"].times > 5


def test_a_state_behind_another_is_seen_through_it() -> None:
    forecast = Forecast(UTC)
    states = cycle([("day", 1.0), ("peak", 0.2), ("emergency", 0.2)])
    time, history = MONDAY, []
    for state, hours in (next(states) for _ in range(600)):
        history += spans((state, time, time + hours * HOUR))
        time += hours * HOUR
    forecast.learn(history)
    expected = likely(forecast, "day", time, time)
    assert expected["peak"] > expected["emergency"] > 0.6
    assert expected["night"] < 0.1


def test_a_stay_of_the_usual_length_ends_soon() -> None:
    forecast = Forecast(UTC)
    time, history = MONDAY, []
    for number in range(200):
        between, stay = (7 + number % 5) * HOUR, 4 * HOUR + number % 9 * 60
        history += spans(("day", time, time + between), ("emergency", time + between, time + between + stay))
        time += between + stay
    forecast.learn(history)
    fresh, late = (likely(forecast, "emergency", time, time + lasted, HOUR)["day"] for lasted in (0.5 * HOUR, 3.5 * HOUR))
    assert late > 3 * fresh


def test_what_was_long_ago_is_forgotten() -> None:
    forecast = Forecast(UTC)
    time, history = MONDAY, []
    for number in range(400):
        after = "emergency" if number < 200 else "peak"
        history += spans(("day", time, time + 11 * HOUR), (after, time + 11 * HOUR, time + 12 * HOUR))
        time += 12 * HOUR
    forecast.learn(history)
    expected = likely(forecast, "day", time, time, 12 * HOUR)
    assert expected["peak"] > 0.45 and expected["emergency"] < 0.1


def test_a_gap_is_no_change_and_nothing_is_learnt_twice() -> None:
    history = spans(("day", 0, HOUR), ("peak", 5 * HOUR, 6 * HOUR), ("day", 6 * HOUR, 7 * HOUR), ("peak", 7 * HOUR, 8 * HOUR))
    at_once, bit_by_bit = Forecast(UTC), Forecast(UTC)
    at_once.learn(history)
    for known in range(2, 5):
        bit_by_bit.learn(history[:known])
        bit_by_bit.learn(history[known - 2 : known])
    now = 8 * HOUR
    assert at_once.expect(STATES, "peak", 7 * HOUR, now, HOUR) == bit_by_bit.expect(STATES, "peak", 7 * HOUR, now, HOUR)
    assert at_once.expect(STATES, "day", now, 7.5 * HOUR, HOUR)["peak"].times == pytest.approx(1, rel=0.01)
    assert at_once.expect(STATES, "day", now, 1.5 * HOUR, HOUR)["peak"].times == 0


stretch = st.tuples(st.sampled_from([*STATES, "no_data", "gone"]), st.floats(1, 3 * DAY), st.sampled_from([0.0, 0.0, HOUR]))


@settings(max_examples=60, deadline=None)
@given(st.lists(stretch, max_size=40), st.sampled_from([*STATES, "no_data", "new", None]), st.floats(1, 3 * DAY), st.floats(0, 10 * DAY))
def test_probabilities_are_probabilities(history: list[tuple[str, float, float]], current: str | None, horizon: float, lasted: float) -> None:
    forecast, time, lived = Forecast(UTC), MONDAY, []
    for state, length, gap in history:
        lived += spans((state, time, time + length))
        time += length + gap
    forecast.learn(lived)
    expected = forecast.expect(STATES, current, time, time + lasted, horizon, {"peak": horizon / 2})
    assert list(expected) == list(STATES)
    assert all(0 <= each.probability <= 1 for each in expected.values())
    assert expected["peak"].probability >= 0.1


RULES = """\
gridtone: 1
signals:
  load: {of: grid/load, stale_after: 1h}
  out: {of: grid/out, stale_after: 1h}
states:
  both: {priority: 3, when: load > 80 and out >= 1, prompt: calm}
  high: {priority: 2, when: load > 80, for: 60s, prompt: calm}
  low: {priority: 1, when: not load >= 20, prompt: calm}
  day: {prompt: calm}
fallback: day
"""


def test_a_ramp_says_when_its_limit_is_reached(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    evaluator, trends, now = Evaluator(load_rules(tmp_path / "rules.yaml"), 0.0), Trends(), 0.0
    for minute in range(15):
        now = 60.0 * minute
        evaluator.ingest([("grid/load", 40 + 2.0 * minute, now, "", Quality.GOOD), ("grid/out", 0.0, now, "", Quality.GOOD)], now)
        trends.record(evaluator.values(), now)
    assert reached_in(evaluator, trends, now) == {"high": pytest.approx(60 * (80 - 68) / 2 + 60)}
    evaluator.ingest([("grid/load", 81.0, now + 5, "", Quality.GOOD)], now + 5)
    assert reached_in(evaluator, trends, now + 25)["high"] == pytest.approx(40), "its `for` runs"
    words = Forecast(UTC).expect(["high", "day"], "day", now, now, HOUR, {"high": 420.0})["high"].reason({"en": "Day"})
    assert words["en"].startswith("its limit is 7 min away")


def test_a_ramp_says_when_a_state_may_end(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.replace("for: 60s", "clear: load < 70"))
    evaluator, trends, now = Evaluator(load_rules(tmp_path / "rules.yaml"), 0.0), Trends(), 0.0
    for minute in range(15):
        now = 60.0 * minute
        evaluator.ingest([("grid/load", 120 - 2.0 * minute, now, "", Quality.GOOD), ("grid/out", 0.0, now, "", Quality.GOOD)], now)
        trends.record(evaluator.values(), now)
    assert evaluator.active == "high"
    assert cleared_in(evaluator, trends, now) == {"high": pytest.approx(60 * (92 - 70) / 2)}
    explanation = explain(evaluator, now, cleared_in(evaluator, trends, now))
    assert {state.state: state.clears_in for state in explanation.states} == {"both": None, "high": pytest.approx(660), "low": None, "day": None}
    assert "        may end in 11m, if its signals go on as they do now" in explained(explanation)
    evaluator.ingest([("grid/load", 60.0, now + 5, "", Quality.GOOD)], now + 5)
    assert cleared_in(evaluator, trends, now + 5) == {}, "it has ended"


def test_noise_is_no_ramp() -> None:
    times = [10.0 * n for n in range(20)]
    assert slope(times, [50 + (-1) ** n for n in range(20)]) == 0
    assert slope(times, [50.0] * 20) == 0
    assert slope(times[:3], [1.0, 2.0, 3.0]) == 0
    assert slope(times, [None if n == 7 else 50 + n for n in range(20)]) == pytest.approx(0.1)
