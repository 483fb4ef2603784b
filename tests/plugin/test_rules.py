"""What the rules do over time: stories of readings, and the states that they lead to."""

from pathlib import Path

import pytest

import gridtone.rules
from gridtone.documents import parse_document
from gridtone.rules import NO_DATA, NO_STATE, Evaluator, Rules, load_pack, pack_names
from gridtone.rules.condition import OPERATORS
from gridtone.rules.parser import parse
from gridtone.rules.points import Patterns
from gridtone.rules.source import Pack, read_source
from gridtone_adapters import Quality, Reading

SIGNALS = """
gridtone: 1
signals:
  loading: {of: line/*/loading_pct, take: max, unit: "%", stale_after: 60s, title: {en: highest line loading, zh: 线路最高负载率}}
  load: {of: grid/load_mw, unit: MW, stale_after: 60s}
  voltage: {of: bus/*/vm_pu, take: min, unit: pu, stale_after: 60s}
"""


def rules(states: str, fallback: str = "", signals: str = "") -> Rules:
    """Rules with the signals above. Every state is silent, which does not matter here."""
    lines = [*signals.splitlines(), "states:", *states.replace("}", ", silent: true}").splitlines()]
    if fallback:
        lines.append(f"{fallback}: {{silent: true}}")
    text = SIGNALS + "\n".join(line if line == "states:" else f"  {line}" for line in lines)
    return parse_document(text + (f"\nfallback: {fallback}\n" if fallback else ""), Rules)


class Story:
    """Readings of line A, the load or whatever is told, one moment after the other; ticks come when they are due, as in the service."""

    def __init__(self, written: Rules, start: float = 0.0) -> None:
        self.evaluator = Evaluator(written, start)
        self.states: list[tuple[float, str]] = []

    def until(self, now: float) -> str:
        while (due := self.evaluator.deadline()) is not None and due <= now:
            self._note(due, self.evaluator.tick(due))
        return self.evaluator.active

    def tell(self, now: float, *, quality: Quality = Quality.GOOD, late: float = 0.0, **values: float) -> str:
        points = {"load": "grid/load_mw", "loading": "line/A/loading_pct", "other": "line/B/loading_pct", "voltage": "bus/1/vm_pu", "dead": "bus/1/energized"}
        self.until(now)
        self._note(now, self.evaluator.ingest([Reading(points[name], value, now - late, "", quality) for name, value in values.items()], now))
        return self.evaluator.active

    def _note(self, now: float, standing: object) -> None:
        if standing is not None:
            self.states.append((now, self.evaluator.active))


def test_before_any_reading_there_is_no_data_and_no_sound() -> None:
    story = Story(rules("busy: {when: load > 10}", "rest"))
    standing = story.evaluator.standing(5.0)
    assert (standing.state, standing.severity, standing.silent, standing.since) == (NO_DATA, "unknown", True, 0.0)
    assert standing.reason == {"en": "no data yet for load", "zh": "load尚无数据"}
    assert story.tell(1, load=5) == "rest"
    assert story.tell(2, load=15) == "busy"


def test_without_a_fallback_a_grid_that_no_rule_recognises_has_a_name() -> None:
    story = Story(rules("busy: {when: load > 10}"))
    assert story.tell(1, load=5) == NO_STATE
    assert story.evaluator.standing(1).silent


def test_for_demands_an_unbroken_stretch() -> None:
    story = Story(rules("busy: {when: load > 10, for: 10s}", "rest"))
    story.tell(0, load=15)
    story.tell(6, load=5)
    story.tell(8, load=15)
    story.tell(15, load=20)
    assert story.until(17.9) == "rest"
    assert story.until(18) == "busy"
    assert story.states == [(0, "rest"), (18, "busy")]


def test_clear_holds_a_state_until_it_is_true() -> None:
    story = Story(rules("busy: {when: load > 10, clear: load < 8}", "rest"))
    assert [story.tell(now, load=load) for now, load in enumerate([9, 11, 9, 8, 7.9, 9, 11])] == ["rest", "busy", "busy", "busy", "rest", "rest", "busy"]
    story.tell(10, load=9)
    assert story.evaluator.standing(10).reason["en"] == "not cleared yet: load is 9 MW, at least 8 MW"


def test_hysteresis_survives_losing_by_priority() -> None:
    story = Story(rules("worse: {when: voltage < 0.9, priority: 2}\nbusy: {when: load > 10, clear: load < 8}", "rest"))
    story.tell(0, voltage=1, load=11)
    assert story.tell(1, voltage=0.8, load=9) == "worse"
    assert story.evaluator.standing(1).also_true == ("busy",)
    assert story.tell(2, voltage=1) == "busy"


def test_hold_keeps_a_state_against_all_but_higher_priority() -> None:
    story = Story(rules("worse: {when: voltage < 0.9, priority: 2}\nother: {when: load > 20}\nbusy: {when: load > 10, hold: 30s}", "rest"))
    story.tell(0, voltage=1, load=15)
    assert story.tell(5, load=25) == "busy"
    assert story.tell(6, load=5) == "busy"
    assert story.evaluator.standing(6).reason["en"] == "stays for 30 s at least"
    assert story.tell(7, voltage=0.8) == "worse"
    story.tell(8, voltage=1, load=15)
    assert story.tell(10, load=5) == "busy"
    story.until(100)
    assert story.states[-2:] == [(38, "rest"), (68, NO_DATA)]


def test_the_highest_priority_wins_and_the_first_in_the_file_among_equals() -> None:
    story = Story(rules("a: {when: load > 1}\nb: {when: load > 2, priority: 5}\nc: {when: load > 3, priority: 5}\nd: {when: load > 0}"))
    assert [story.tell(now, load=load) for now, load in enumerate([0, 1, 2, 3, 4, 1])] == [NO_STATE, "d", "a", "b", "b", "d"]


def test_a_flapping_signal_flaps_the_state_no_faster_than_its_hold() -> None:
    story = Story(rules("busy: {when: load > 10, hold: 60s}", "rest"))
    for second in range(600):
        story.tell(second, load=15 if second % 2 else 5)
    assert len(story.states) <= 2 + 2 * 600 / 60
    quick = Story(rules("busy: {when: load > 10, for: 5s}", "rest"))
    for second in range(600):
        quick.tell(second, load=15 if second % 2 else 5)
    assert quick.states == [(0, "rest")]


@pytest.mark.parametrize(
    ("loading", "voltage", "expected"),
    [
        # which signals are fresh and what they say; None is stale
        (110, 1.0, "emergency"),
        (110, None, "emergency"),  # certain whatever the voltage is
        (50, 1.0, "rest"),
        (50, 0.95, "alert"),
        (None, 0.95, NO_DATA),  # the emergency cannot be excluded
        (None, 1.0, NO_DATA),
        (50, None, NO_DATA),
        (None, None, NO_DATA),
    ],
)
def test_what_is_certain_wins_and_what_may_be_worse_silences(loading: float | None, voltage: float | None, expected: str) -> None:
    story = Story(rules("alert: {when: voltage < 0.97}\nemergency: {when: loading > 100 or voltage < 0.9, priority: 9}", "rest"))
    story.tell(0, loading=50, voltage=1)
    fresh = {name: value for name, value in (("loading", loading), ("voltage", voltage)) if value is not None}
    for now in (30, 59):
        story.tell(now, **fresh)
    assert story.until(61) == expected


@pytest.mark.parametrize(
    ("on_stale", "before", "expected"), [("silent", 15, NO_DATA), ("false", 15, "rest"), ("true", 5, "busy"), ("keep", 15, "busy"), ("keep", 5, "rest")]
)
def test_on_stale_says_what_missing_data_mean(on_stale: str, before: float, expected: str) -> None:
    story = Story(rules(f"busy: {{when: load > 10, on_stale: {on_stale}}}", "rest"))
    story.tell(0, load=before)
    assert story.until(60) == expected


def test_silence_comes_when_the_newest_reading_is_stale_and_ends_with_the_next() -> None:
    story = Story(rules("busy: {when: load > 10}", "rest"))
    story.tell(0, load=15)
    story.tell(20, load=15, late=10)
    story.until(200)
    assert story.states == [(0, "busy"), (70, NO_DATA)]
    assert story.evaluator.standing(200).reason["en"] == "no current data for load: last reading 3 min ago (limit 60 s)"
    assert story.tell(201, load=15, late=61) == NO_DATA
    assert story.tell(202, load=15, late=1) == "busy"


def test_a_bad_reading_is_no_data_and_an_older_one_never_overwrites() -> None:
    story = Story(rules("busy: {when: load > 10}", "rest"))
    story.tell(10, load=15)
    assert story.tell(20, load=0, quality=Quality.BAD) == "busy"
    assert story.tell(21, load=0, late=15) == "busy"
    assert story.tell(22, load=float("nan")) == "busy"
    assert story.tell(23, load=0, late=-1000) == "busy"
    counters = story.evaluator.counters
    assert (counters.readings, counters.bad, counters.late, counters.absurd, counters.ahead) == (5, 1, 1, 1, 1)
    story.until(200)
    assert story.states == [(10, "busy"), (70, NO_DATA)]


def test_a_clock_that_runs_ahead_does_not_hide_silence() -> None:
    story = Story(rules("busy: {when: load > 10}", "rest"))
    story.tell(0, load=15, late=-50)
    story.until(200)
    assert story.states == [(0, "busy"), (60, NO_DATA)]


def test_an_uncertain_reading_counts_unless_the_signal_ignores_it() -> None:
    signals = "strict: {of: grid/load_mw, uncertain: ignore, stale_after: 60s}\n"
    story = Story(rules("certain: {when: strict > 10, priority: 1}\nbusy: {when: load > 10}", "rest", signals))
    story.tell(0, load=5)
    assert story.tell(1, load=15, quality=Quality.UNCERTAIN) == "busy"
    assert story.tell(2, load=15) == "certain"
    assert story.tell(3, load=5, quality=Quality.UNCERTAIN) == "certain"
    assert story.until(62) == NO_DATA


def test_a_wildcard_goes_stale_with_more_than_its_share_of_points() -> None:
    story = Story(rules("over: {when: loading > 100}", "rest"))
    story.tell(0, loading=110, other=50)
    assert story.states == [(0, "over")]
    story.tell(50, other=50)
    assert story.until(109) == "rest"  # line A is stale and no longer counts; half of the points are fresh
    assert story.until(110) == NO_DATA
    strict = Story(rules("over: {when: all_lines > 100}", "rest", "all_lines: {of: line/*/loading_pct, take: max, stale_pct: 0}\n"))
    strict.tell(0, loading=110, other=50)
    strict.tell(50, other=50)
    assert strict.until(60) == NO_DATA
    assert strict.evaluator.standing(60).reason["en"] == "all lines: 1 of 2 points have been silent for 60 s"


def test_absent_equipment_has_a_value_until_it_reports() -> None:
    story = Story(rules("dead: {when: dead_buses > 0, priority: 1}", "rest", 'dead_buses: {of: bus/*/energized, take: count, where: "< 0.5", absent: 0}\n'))
    assert story.tell(0, load=1) == "rest"
    assert story.tell(1, dead=0) == "dead"
    assert story.evaluator.standing(1).reason["en"] == "dead buses is 1 (bus 1), above 0"
    assert story.until(61) == NO_DATA


def test_a_rate_needs_half_its_window_and_forgets_what_is_older() -> None:
    signals = "ramp: {of: grid/load_mw, take: rate, over: 60s, per: 1m, unit: MW/min}\n"
    story = Story(rules("rising: {when: ramp > 5 MW/min}", "rest", signals))
    for second in range(0, 200, 5):
        story.tell(second, load=second / 6 if second < 100 else 100 / 6)
    (began, rising), (ended, rest) = story.states
    assert (began, rising, rest) == (30, "rising", "rest")
    assert 100 < ended < 160


@pytest.mark.parametrize("take", ["value", "max", "min", "sum", "mean"])
@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_a_comparison_follows_a_value_through_its_limit_and_back(take: str, operator: str) -> None:
    written = rules(f"state: {{when: signal {operator} 2}}\nbeside: {{when: signal > 3.5}}", "rest", f"signal: {{of: grid/load_mw, take: {take}}}")
    story = Story(written)
    for now, value in enumerate([1.0, 2.0, 3.0, 2.0, 1.0, 3.0, 1.0, 2.0, 2.0, 1.9, 2.1, -2.0]):
        assert story.tell(now, load=value) == ("state" if OPERATORS[operator](value, 2) else "rest"), value


def test_reasons_are_sentences_with_the_deciding_point_in_both_languages() -> None:
    story = Story(rules("over: {when: loading > 100 % and 10 <= load < 20}\nlow: {when: not (voltage >= 0.9)}", "rest"))
    story.tell(0, loading=112, other=50, load=15, voltage=1)
    standing = story.evaluator.standing(3)
    assert standing.reason["en"] == "highest line loading is 112 % (line A), above 100 %; load is 15 MW, at least 10 MW and below 20 MW"
    assert standing.reason["zh"] == "线路最高负载率为 112 %（line A），高于 100 %；load为 15 MW，不低于 10 MW且低于 20 MW"
    assert standing.rule == "loading > 100 % and (load >= 10 and load < 20)"
    assert [(c.signal, c.operator, c.limit, c.true) for c in standing.comparisons] == [
        ("loading", ">", 100, True),
        ("load", ">=", 10, True),
        ("load", "<", 20, True),
    ]
    loading = standing.signals[0]
    assert (loading.name, loading.value, loading.unit, loading.age_seconds, loading.stale, loading.point) == (
        "loading",
        112,
        "%",
        3,
        False,
        "line/A/loading_pct",
    )
    story.tell(4, loading=50, voltage=0.8)
    assert story.evaluator.standing(4).reason["en"] == "voltage is 0.8 pu (bus 1), below 0.9 pu"
    story.tell(5, voltage=1)
    assert story.evaluator.standing(5).reason["en"] == "no other state applies"
    story.tell(6, loading=100.0004)
    assert story.evaluator.standing(6).reason["en"].startswith("highest line loading is 100.0004 % (line A), above 100 %")


def test_after_a_restart_the_state_goes_on_since_when_it_did() -> None:
    written = rules("busy: {when: load > 10, clear: load < 8, for: 60s, hold: 5m}", "rest")
    story = Story(written, 1000)
    story.evaluator.resume("busy", 900)
    assert story.evaluator.active == NO_DATA
    assert story.tell(1001, load=9) == "busy"
    assert story.evaluator.since == 900
    assert story.tell(1002, load=5) == "busy"
    assert [story.tell(now, load=5) for now in (1050, 1100, 1150, 1199, 1200)] == ["busy", "busy", "busy", "busy", "rest"]
    other = Story(written, 1000)
    other.evaluator.resume("busy", 900)
    assert other.tell(1001, load=5) == "rest"
    assert other.evaluator.since == 1001
    unseen = Story(written, 1000)
    unseen.evaluator.resume(NO_DATA, 900)
    assert unseen.evaluator.standing(1000).since == 900
    gone = Story(written, 1000)
    gone.evaluator.resume("a state of older rules", 900)
    assert gone.tell(1001, load=5) == "rest"


def test_rules_are_swapped_while_the_grid_goes_on() -> None:
    story = Story(rules("busy: {when: load > 10, clear: load < 8}", "rest"))
    story.tell(0, load=15)
    story.tell(5, load=9)
    changed = story.evaluator.swap(rules("busy: {when: load > 12, clear: load < 7}", "calm"), 6)
    assert (changed, story.evaluator.active, story.evaluator.since) == (None, "busy", 0)
    assert story.evaluator.standing(6).reason["en"] == "not cleared yet: load is 9 MW, at least 7 MW"
    changed = story.evaluator.swap(rules("heavy: {when: weight > 8}", "calm", "weight: {of: grid/*, take: sum, stale_after: 10s}\n"), 7)
    assert changed is not None
    assert (changed.state, changed.since) == ("heavy", 7)
    assert story.until(60) == NO_DATA
    changed = story.evaluator.swap(rules("over: {when: loading > 100}"), 61)
    assert changed is None
    assert story.evaluator.active == NO_DATA


def test_a_fallback_alone_is_the_state_from_the_start() -> None:
    evaluator = Evaluator(rules("", "rest"), 5)
    assert (evaluator.standing(6).state, evaluator.standing(6).since) == ("rest", 5)
    assert evaluator.deadline() is None
    assert evaluator.resume("rest", 1) is None
    assert evaluator.since == 1
    gone = Evaluator(rules("", "rest"), 5)
    gone.resume("busy", 1)
    changed = gone.swap(rules("busy: {when: voltage > 0, on_stale: true}", "rest"), 7)
    assert changed is not None
    assert (changed.state, changed.since) == ("busy", 7), "the start is over: what the grid was in before it says nothing any more"


def test_no_ghost_of_a_deleted_state_stays_where_only_a_fallback_is_left() -> None:
    story = Story(rules("busy: {when: load > 10, hold: 5m}", "rest"))
    story.tell(0, load=15)
    changed = story.evaluator.swap(rules("", "calm"), 6)
    assert changed is not None
    assert (changed.state, changed.since, changed.holds_until) == ("calm", 6, None)
    assert story.evaluator.standing(7).state == "calm"


def test_a_hold_that_is_edited_holds_as_long_as_it_says_now() -> None:
    def held(hold: str) -> Rules:
        return rules(f"busy: {{when: load > 10, hold: {hold}}}", "rest")

    story = Story(held("15m"))
    story.tell(0, load=15)
    assert story.tell(10, load=5) == "busy"
    assert story.evaluator.swap(held("30s"), 20) is None
    assert story.evaluator.holds_until() == 30
    assert (story.until(29), story.until(30)) == ("busy", "rest")
    story.tell(40, load=15)
    story.tell(50, load=5)
    changed = story.evaluator.swap(held("5s"), 51)
    assert changed is not None
    assert changed.state == "rest", "it has been held longer than that already"
    story = Story(held("5s"))
    story.tell(0, load=15)
    story.until(10)
    assert story.evaluator.swap(held("40s"), 10) is None
    assert (story.tell(20, load=5), story.until(40)) == ("busy", "rest")


def test_nothing_is_due_where_nothing_can_change() -> None:
    story = Story(rules("busy: {when: load > 10}", "rest"))
    assert story.evaluator.deadline() is None
    story.tell(0, load=5, other=3)
    assert story.evaluator.deadline() == 60
    story.until(60)
    assert story.evaluator.deadline() is None


def test_time_that_goes_back_is_taken_as_standing_still() -> None:
    story = Story(rules("busy: {when: load > 10, for: 10s}", "rest"))
    story.tell(100, load=15)
    assert story.evaluator.tick(50) is None
    assert story.evaluator.now == 100
    assert story.until(110) == "busy"


def test_a_source_whose_clock_was_right_is_seen_as_soon_as_the_service_has_the_time_too() -> None:
    story = Story(rules("busy: {when: load > 10}", "rest"), 10_000)
    assert story.tell(10_000, load=15, late=7200) == NO_DATA
    story.evaluator.set_back(7200)
    assert story.until(2801) == NO_DATA, "nothing looks younger than it did"
    assert story.tell(2802, load=15) == "busy"
    assert story.until(2861) == "busy"
    assert story.until(2862) == NO_DATA
    assert story.evaluator.counters.late == 0


@pytest.mark.parametrize(
    ("pattern", "point", "matches"),
    [
        ("line/*/loading_pct", "line/A/loading_pct", True),
        ("line/*/loading_pct", "line/A/in_service", False),
        ("line/*/loading_pct", "line/A/B/loading_pct", False),
        ("line/**", "line/A/in_service", True),
        ("line/**", "line", False),
        ("**", "line/A", True),
        ("*/A", "line/A", True),
        ("line/A", "line/A", True),
        ("线路/*", "线路/甲", True),
    ],
)
def test_patterns(pattern: str, point: str, matches: bool) -> None:
    patterns: Patterns[str] = Patterns()
    patterns.add(pattern, "x")
    patterns.add("another/*", "y")
    assert patterns.matching(point) == (["x"] if matches else [])


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("a>1", "a > 1"),
        ("1 < a", "a > 1"),
        ("-1.5e3 <= a", "a >= -1500"),
        ("a > 1 MW/min and b == 2", "a > 1 MW/min and b == 2"),
        ("a > 1 or b > 2 and not c > 3", "a > 1 or (b > 2 and not c > 3)"),
        ("(a > 1 or b > 2) and c > 3", "(a > 1 or b > 2) and c > 3"),
        ("45 <= a < 85", "a >= 45 and a < 85"),
        ("85 > a >= 45", "a < 85 and a >= 45"),
        ("负荷 > 10", "负荷 > 10"),
        ("not not a > 1", "not not a > 1"),
    ],
)
def test_conditions_read_as_written(text: str, read: str) -> None:
    assert str(parse(text)) == read


def calm_grid() -> dict[str, float]:
    points = {"grid/load_pct": 50.0, "grid/load_rate_pct_per_h": 0.0, "grid/lost_load_mw": 0.0, "grid/restoring": 0.0}
    for number in range(1, 6):
        points |= {f"line/{number}/loading_pct": 40.0, f"line/{number}/in_service": 1.0, f"bus/{number}/vm_pu": 1.03, f"bus/{number}/energized": 1.0}
    return points


@pytest.mark.parametrize(
    ("differences", "expected", "reason"),
    [
        ({}, "day", "all loadings and voltages are within their limits"),
        ({"grid/load_pct": 20}, "night_valley", "load against the year's peak is 20 %, below 28 %"),
        ({"grid/load_rate_pct_per_h": 9}, "ramp", "rate of change of load is 9 %/h, above 6 %/h"),
        ({"grid/load_pct": 90, "grid/load_rate_pct_per_h": 9}, "peak", "load against the year's peak is 90 %, above 65 %"),
        ({"line/3/in_service": 0, "line/3/loading_pct": 0}, "alert", "number of branches out of service is 1 (line 3), at least 1"),
        ({"line/2/loading_pct": 90}, "alert", "highest loading is 90 % (line 2), above 85 %"),
        ({"bus/4/vm_pu": 1.12}, "alert", "highest voltage is 1.12 pu (bus 4), above 1.118 pu"),
        ({"bus/4/vm_pu": 0.89}, "alert", "lowest voltage is 0.89 pu (bus 4), below 0.9 pu; number of dead buses is 0, below 1"),
        ({"line/2/loading_pct": 126, "line/3/in_service": 0}, "emergency", "highest loading is 126 % (line 2), above 100 %"),
        ({"bus/5/vm_pu": 0, "bus/5/energized": 0}, "in_extremis", "number of dead buses is 1 (bus 5), at least 1; restoration is 0, below 0.5"),
        ({"grid/lost_load_mw": 12}, "in_extremis", "lost load is 12 MW, above 0.5 MW; restoration is 0, below 0.5"),
        ({"bus/5/vm_pu": 0, "bus/5/energized": 0, "grid/restoring": 1}, "restorative", "the grid is being switched back"),
        ({"line/2/loading_pct": 110, "grid/restoring": 1}, "emergency", "highest loading is 110 % (line 2), above 100 %"),
    ],
)
def test_the_transmission_pack_knows_the_operating_states(differences: dict[str, float], expected: str, reason: str) -> None:
    evaluator = Evaluator(load_pack("transmission"), 0)
    evaluator.ingest([Reading(point, value, 0.0) for point, value in calm_grid().items()], 0)
    assert evaluator.active == "day"
    evaluator.ingest([Reading(point, value, 1.0) for point, value in differences.items()], 1)
    assert evaluator.active == expected
    assert evaluator.standing(1).reason["en"] == reason
    evaluator.ingest([Reading(point, value, 1000.0) for point, value in calm_grid().items()], 1000)
    assert evaluator.active == "day"
    evaluator.tick(1060)
    assert evaluator.active == NO_DATA


def test_every_pack_has_its_tests_and_the_five_operating_states() -> None:
    assert pack_names() == ["distribution", "plant", "transmission"]
    for name in pack_names():
        assert (Path(gridtone.rules.__file__).parent / f"packs/{name}.test.yaml").exists()
        assert {state.severity for state in load_pack(name).states.values()} == {"normal", "alert", "emergency", "in_extremis", "restorative"}
        assert all(state.hold >= 120 for state in load_pack(name).states.values() if state.when)


def test_waiting_can_be_shortened_for_a_grid_that_runs_faster_than_the_clock() -> None:
    hurried = read_source(Pack(pack="plant", longest_wait=10))
    assert {state.hold for state in hurried.states.values()} == {0.0, 10.0}
    assert {state.for_ for state in hurried.states.values()} == {0.0, 10.0}
    assert hurried.signals == load_pack("plant").signals


@pytest.mark.parametrize("name", pack_names())
def test_the_moods_of_a_pack_differ_and_the_grave_ones_are_calm_and_sparse(name: str) -> None:
    pack = load_pack(name)
    prompts = {name: state.prompt.for_engine() for name, state in pack.states.items() if state.prompt is not None}
    assert set(prompts) == set(pack.states)
    assert len({prompt.attributes.tempo_bpm for prompt in prompts.values()}) == len(prompts)
    assert len({prompt.attributes.key for prompt in prompts.values()}) == len(prompts)
    for name, state in pack.states.items():
        attributes = prompts[name].attributes
        assert {"en", "zh"} <= set(state.title or {})
        assert None not in (attributes.energy, attributes.brightness, attributes.density)
        if state.severity in ("alert", "emergency", "in_extremis"):
            assert max(attributes.energy or 1, attributes.brightness or 1, attributes.density or 1) <= 0.3
            assert not {"bells", "glass pad", "flute", "soft percussion"} & set(attributes.instruments)


def test_the_page_about_rules_mentions_every_key_and_its_examples_are_valid() -> None:
    page = (Path(__file__).parents[2] / "docs/rules.md").read_text(encoding="utf-8")
    schema = Rules.model_json_schema()
    for definition in (schema, *schema["$defs"].values()):
        for key in definition["properties"]:
            assert f"`{key}`" in page, key
    examples = [part.split("```")[0] for part in page.split("```yaml\n")[1:]]
    whole = [example for example in examples if example.startswith("gridtone:")]
    assert whole
    for example in whole:
        parse_document(example, Rules, Path("docs/rules.md"))
