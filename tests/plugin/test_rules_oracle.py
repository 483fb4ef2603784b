"""The incremental evaluator against a slow and obvious one, on random rules and random telemetry."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slow_rules import SlowRules

from gridtone.rules import Evaluator, Rules
from gridtone_adapters import Quality, Reading

POINTS = ["line/1/loading", "line/2/loading", "line/3/loading", "grid/load", "bus/1/on", "bus/2/on"]
LIMITS = [0, 1, 2, 2.5, 4]
PATTERNS = ["line/*/loading", "**", "line/**", "*/*/on", "grid/load", ["line/1/loading", "grid/*", "line/*/loading"]]
EXPRESSIONS = ["{0} - {1}", "2 * {0} + 1", "{0} / {1}", "max({0}, {1})", "{0} if known({0}) else {1}", "1 if {0} > 1 or {1} > 1 else 4"]
DURATIONS = [0, 1, 2.5, 7]


@st.composite
def signals(draw: st.DrawFn) -> dict[str, Any]:
    take = draw(st.sampled_from(["value", "value", "max", "min", "mean", "sum", "count", "share", "rate"]))
    signal: dict[str, Any] = {"take": take, "stale_after": draw(st.sampled_from([1, 3, 10, 1000, 1000, 1000]))}
    signal["of"] = draw(st.sampled_from(POINTS if take in ("value", "rate") else [*PATTERNS, "line/1/loading"]))
    if take in ("count", "share"):
        signal["where"] = f"{draw(st.sampled_from(['>', '>=', '<', '<=', '==', '!=']))} {draw(st.sampled_from(LIMITS))}"
    if take == "rate":
        signal |= {"over": draw(st.sampled_from([4, 16])), "per": draw(st.sampled_from([1, 60]))}
    if draw(st.booleans()):
        signal["stale_pct"] = draw(st.sampled_from([0, 25, 50, 99, 100]))
    if draw(st.integers(0, 3)) == 0:
        signal["absent"] = draw(st.sampled_from(LIMITS))
    signal["uncertain"] = draw(st.sampled_from(["use", "use", "ignore"]))
    return signal


def conditions(names: list[str], rates: list[str]) -> st.SearchStrategy[Any]:
    def compare(name: str, operator: str, limit: float) -> str:
        # The two compute a slope in different ways: keep its limits away from the values that halves and quarters of seconds give.
        return f"{name} {operator} {limit + 0.0123 if name in rates else limit}"

    leaf = st.builds(compare, st.sampled_from(names), st.sampled_from([">", ">=", "<", "<=", "==", "!="]), st.sampled_from(LIMITS))
    pair = st.builds(lambda left, word, right: f"{left} {word} not ({right})", leaf, st.sampled_from(["and", "or"]), leaf)
    return st.recursive(
        leaf | pair,
        lambda inner: st.one_of(
            st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda part: {"not": part}, inner),
        ),
        max_leaves=4,
    )


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    names = [f"s{number}" for number in range(draw(st.integers(1, 4)))]
    defined = {name: draw(signals()) for name in names}
    exact = [name for name in names if defined[name]["take"] != "rate"]
    if exact and draw(st.booleans()):
        text = draw(st.sampled_from(EXPRESSIONS)).format(draw(st.sampled_from(exact)), draw(st.sampled_from(exact)))
        defined["made"] = {"expression": text}
        names.append("made")
    condition = conditions(names, [name for name in names if defined[name].get("take") == "rate"])
    states: dict[str, Any] = {}
    for number in range(draw(st.integers(1, 4))):
        state = states[f"state{number}"] = {"when": draw(condition), "silent": True, "priority": draw(st.integers(0, 2))}
        state |= {key: draw(st.sampled_from(DURATIONS)) for key in ("for", "hold")}
        state["on_stale"] = draw(st.sampled_from(["silent", "silent", "false", "true", "keep"]))
        if draw(st.booleans()):
            state["clear"] = draw(condition)
    document: dict[str, Any] = {"gridtone": 1, "signals": defined, "states": states}
    if draw(st.booleans()):
        states["rest"] = {"silent": True}
        document["fallback"] = "rest"
    return Rules.model_validate(document)


@st.composite
def moments(draw: st.DrawFn) -> tuple[float, list[Reading]]:
    """Seconds until the next moment, and readings whose times are relative to it."""
    reading = st.builds(
        Reading,
        st.sampled_from(POINTS),
        st.sampled_from([0.0, 0.25, 1.0, 2.0, 2.5, 3.0, 4.0, 5.0]),
        st.sampled_from([0.0, 0.0, 0.0, 0.0, -0.5, -2.0, -5.0, 1.0, 61.0]),
        st.just(""),
        st.sampled_from([Quality.GOOD] * 6 + [Quality.UNCERTAIN, Quality.BAD]),
    )
    return draw(st.sampled_from([0, 0.25, 1, 1, 2, 3.5, 11])), draw(st.lists(reading, max_size=6))


def arriving(readings: list[Reading], now: float) -> list[Reading]:
    return [reading._replace(time=now + reading.time) for reading in readings]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rules(), st.lists(moments(), min_size=1, max_size=25))
def test_the_incremental_evaluator_agrees_with_the_slow_one(written: Rules, story: list[tuple[float, list[Reading]]]) -> None:
    now = 1000.0
    fast, slow = Evaluator(written, now), SlowRules(written, now)
    assert (fast.active, fast.since) == (slow.active, slow.since)
    for pause, readings in story:
        until = now + pause
        while (due := fast.deadline()) is not None and due < until:
            now = due
            changed = fast.tick(now)
            slow.tick(now)
            assert (fast.active, fast.since) == (slow.active, slow.since)
            assert (changed is not None) == (fast.since == now and changed is not None and changed.state == fast.active)
        now = until
        before = fast.active
        changed = fast.ingest(arriving(readings, now), now)
        slow.ingest(arriving(readings, now), now)
        assert (fast.active, fast.since) == (slow.active, slow.since)
        assert (changed is not None) == (fast.active != before)
        for name, signal in written.signals.items():
            expected, found = slow.value(signal), fast.gauges[name].known()
            assert found == expected or (signal.take == "rate" and abs(found - expected) < 1e-6), name
        standing = fast.standing(now)
        assert (standing.state, standing.since) == (slow.active, slow.since)
        assert standing.reason["en"]
        assert standing.reason["zh"]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rules(), st.lists(moments(), min_size=1, max_size=15))
def test_without_ticks_nothing_is_due_before_the_deadline(written: Rules, story: list[tuple[float, list[Reading]]]) -> None:
    """Between two readings the slow evaluator, asked every eighth of a second, never changes before the fast one says that it is due."""
    now = 1000.0
    fast, slow = Evaluator(written, now), SlowRules(written, now)
    for _, readings in story:
        now += 4
        fast.ingest(arriving(readings, now), now)
        slow.ingest(arriving(readings, now), now)
        due = fast.deadline()
        for step in range(1, 32):
            moment = now + step / 8
            if due is not None and moment >= due:
                break
            slow.tick(moment)
            assert slow.active == fast.active
        slow.now = now


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rules(), rules(), st.lists(moments(), min_size=1, max_size=10), st.lists(moments(), max_size=10))
def test_swapping_to_the_same_signals_and_other_states_agrees_with_having_had_them(
    first: Rules, second: Rules, before: list[tuple[float, list[Reading]]], after: list[tuple[float, list[Reading]]]
) -> None:
    """After a swap every signal has the value it would have had if the new rules had been there from the start; rates excepted, which begin anew."""
    now = 1000.0
    swapped, slow = Evaluator(first, now), SlowRules(second, now)
    for number, (pause, readings) in enumerate([*before, *after]):
        now += pause
        swapped.ingest(arriving(readings, now), now)
        slow.ingest(arriving(readings, now), now)
        if number == len(before) - 1:
            swapped.swap(second, now)
        if number >= len(before) - 1:
            for name, signal in second.signals.items():
                if signal.take != "rate":
                    assert swapped.gauges[name].known() == slow.value(signal), name


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rules(), st.lists(moments(), min_size=1, max_size=10), st.lists(moments(), min_size=1, max_size=10))
def test_a_clock_that_is_set_back_changes_nothing_but_the_times(
    written: Rules, before: list[tuple[float, list[Reading]]], after: list[tuple[float, list[Reading]]]
) -> None:
    """Sources whose clock is the service's: the same grid, by a clock that is set back in the middle and by one that is not."""
    now, back = 1000.0, 0.0
    right, steady = Evaluator(written, now), Evaluator(written, now)
    for number, (pause, readings) in enumerate([*before, *after]):
        if number == len(before):
            back = 512.0
            right.set_back(back)
        until = now + pause
        while (due := steady.deadline()) is not None and due < until:
            assert right.deadline() == due - back
            right.tick(due - back)
            steady.tick(due)
            assert (right.active, right.since + back) == (steady.active, steady.since)
        now = until
        right.ingest(arriving(readings, now - back), now - back)
        steady.ingest(arriving(readings, now), now)
        assert (right.active, right.since + back) == (steady.active, steady.since)
        assert right.values() == pytest.approx(steady.values(), abs=1e-6)
        assert right.counters == steady.counters


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(rules(), st.lists(moments(), min_size=1, max_size=15))
def test_the_same_readings_at_the_same_times_give_the_same_standings(written: Rules, story: list[tuple[float, list[Reading]]]) -> None:
    def run() -> list[object]:
        now, evaluator, seen = 1000.0, Evaluator(written, 1000.0), []
        for pause, readings in story:
            now += pause
            evaluator.ingest(arriving(readings, now), now)
            seen.append(evaluator.standing(now))
        return seen

    assert run() == run()


@pytest.mark.parametrize("points", [1, 2, 16, 17, 257, 600])
def test_signals_over_many_points_are_what_the_points_say(points: int) -> None:
    """While points report, fall silent and return; few different values, so that many are equal."""
    takes = {"max": max, "min": min, "sum": sum, "mean": lambda values: sum(values) / len(values), "count": lambda values: sum(value > 3 for value in values)}
    names = [f"line/{number}/loading" for number in range(points)]
    signals = {take: {"of": "line/**", "take": take, "stale_after": 10, "stale_pct": 100} | ({"where": "> 3"} if take == "count" else {}) for take in takes}
    states = {f"high_{take}": {"when": f"{take} > 3", "silent": True} for take in takes}
    evaluator = Evaluator(Rules.model_validate({"gridtone": 1, "signals": signals, "states": states}), 0.0)
    chance, held = random.Random(points), dict[str, tuple[float, float]]()
    for step in range(200):
        now = 0.5 * step
        told = chance.sample(names, min(points, chance.choice([1, 1, 3, 40, points])))
        readings = [Reading(name, float(chance.choice([0, 1, 2, 2.5, 3, 3.5, 4, step])), now, "%") for name in told]
        evaluator.ingest(readings, now)
        held |= {reading.point: (reading.value, now) for reading in readings}
        fresh = {name: value for name, (value, at) in held.items() if at > now - 10}
        assert evaluator.values() == {take: pytest.approx(of(fresh.values())) for take, of in takes.items()}
        for take in ("max", "min"):
            gauge = evaluator.gauges[take]
            assert fresh[evaluator.points.names[gauge.members[gauge.decisive()]]] == takes[take](fresh.values())
