"""`gridtone check`: what is no mistake but hardly meant, and that every warning is true."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import gridtone.rules
from gridtone.cli import main
from gridtone.documents import Document
from gridtone.proving.doubts import doubts
from gridtone.proving.sources import may_deliver
from gridtone.rules import Evaluator, Rules
from gridtone_adapters import InfluxConfig, MqttConfig, Reading, ReplayConfig, WebhookConfig

PACKS = Path(gridtone.rules.__file__).parent / "packs"
SIGNALS = """gridtone: 1
signals:
  load: {of: grid/load_mw, unit: MW}
  low_voltage: {of: bus/*/vm_pu, take: min}
  out: {of: line/*/in_service, take: count, where: "< 0.5"}
"""
ALL_USED = "  used: {when: load > 1e6 and low_voltage > 1e6 and out > 1000000, for: 1h, priority: 1000, prompt: calm}\n"


def check(folder: Path, text: str, *options: str) -> Result:
    (folder / "rules.yaml").write_text(text)
    return CliRunner().invoke(main, ["check", str(folder / "rules.yaml"), *options])


def test_the_packs_leave_no_doubt():
    run = CliRunner().invoke(main, ["check", "--strict", *map(str, sorted(PACKS.glob("*.yaml")))])
    assert run.exit_code == 0, run.output


@pytest.mark.parametrize(
    ("states", "warning"),
    [
        (
            "  a: {when: load > 5, priority: 2, prompt: calm}\n  b: {when: load > 9, priority: 1, prompt: calm}\n",
            "9:13: warning: `b` can never win: whenever it is true, `a` wins",
        ),
        (
            "  a: {when: load > 5, priority: 2, prompt: calm}\n  a2: {when: 3 < load <= 5, priority: 2, prompt: calm}\n  b: {when: load > 4, prompt: calm}\n",
            "10:13: warning: `b` can never win: whenever it is true, `a` or `a2` wins",
        ),
        ("  a: {when: load > 5 and load < 3, prompt: calm}\n", "8:13: warning: `a` can never be true"),
        ("  a: {when: out < 0, prompt: calm}\n", "8:13: warning: `a` can never be true"),
        ("  a: {when: 1 < out < 2, prompt: calm}\n", "8:13: warning: `a` can never be true"),
        ("  a: {when: load > 5, clear: load > 9, prompt: calm}\n", "8:30: warning: once entered, `a` never ends"),
        ("  a: {when: load > 5, severity: emergency, prompt: {energy: 0.8}}\n", "8:61: warning: `a` is emergency, but its prompt asks for energy 0.8"),
        ("  a: {when: load > 5, severity: emergency, prompt: calm drums}\n", "8:44: warning: `a` is emergency, but its prompt asks for soft percussion"),
        ("  a: {when: load > 5, prompt: {text: calm with quuxes}}\n", "8:48: warning: the composer cannot follow `quuxes`"),
    ],
)  # fmt: skip
def test_what_is_hardly_meant_is_said_where_it_stands(tmp_path: Path, states: str, warning: str):
    text = f"{SIGNALS}states:\n{ALL_USED.replace('used', 'z')}{states}  day: {{prompt: steady}}\nfallback: day\n"
    run = check(tmp_path, text)
    assert run.exit_code == 0 and f"rules.yaml:{warning}" in run.output, run.output
    assert run.output.count("warning:") == 1
    assert check(tmp_path, text, "--strict").exit_code == 1


@pytest.mark.parametrize(
    "states",
    [
        "  a: {when: load > 5, priority: 2, for: 5s, prompt: calm}\n  b: {when: load > 9, priority: 1, prompt: calm}\n",  # b wins while a's `for` runs
        "  a: {when: load > 5, priority: 2, prompt: calm}\n  b: {when: load > 9, clear: load < 3, prompt: calm}\n",  # b stays when a has ended
        "  a: {when: load > 5, priority: 2, on_stale: keep, prompt: calm}\n  b: {when: load > 9, on_stale: true, prompt: calm}\n",  # b wins without data
        "  a: {when: load > 5, priority: 2, prompt: calm}\n  b: {when: load > 9 or out >= 1, prompt: calm}\n",
        "  a: {when: load > 5 and load < 3, on_stale: true, prompt: calm}\n",  # a is true without data
        "  a: {when: load > 5, clear: load > 9, on_stale: false, prompt: calm}\n",  # a ends without data
    ],
)
def test_states_that_can_win_are_left_in_peace(tmp_path: Path, states: str):
    run = check(tmp_path, f"{SIGNALS}states:\n{ALL_USED}{states}  day: {{prompt: steady}}\nfallback: day\n", "--strict")
    assert run.exit_code == 0, run.output


def test_a_missing_fallback_and_unused_signals(tmp_path: Path):
    run = check(tmp_path, f"{SIGNALS}states:\n  a: {{when: load > 5, prompt: calm}}\n")
    assert "rules.yaml:6:1: warning: there is no fallback: where no state is true, as with load 4 MW, the grid is in `no_state`" in run.output
    assert "rules.yaml:4:3: warning: no state uses the signal `low_voltage`" in run.output and "5:3: warning: no state uses the signal `out`" in run.output
    assert "3 warnings" in run.output
    whole = "  a: {when: load > 5, prompt: calm}\n  b: {when: load <= 5, prompt: calm}\n"
    assert "there is no fallback" not in check(tmp_path, f"{SIGNALS}states:\n{whole}").output
    assert "the fallback `c` is never reached" in check(tmp_path, f"{SIGNALS}states:\n{whole}  c: {{prompt: calm}}\nfallback: c\n").output


SIGNALS_OF_PROPERTY = {"x": {"of": "p/x", "stale_after": 5}, "n": {"of": "q/*", "take": "count", "where": "> 0.5", "stale_after": 5}}
COMPARISONS = st.builds("{} {} {}".format, st.sampled_from(["x", "n"]), st.sampled_from([">", ">=", "<", "<=", "==", "!="]), st.integers(-1, 3))
CONDITIONS = st.recursive(COMPARISONS, lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner), max_leaves=3)
STATES = st.fixed_dictionaries(
    {"when": CONDITIONS, "priority": st.integers(0, 2), "silent": st.just(True)},
    optional={
        "clear": CONDITIONS,
        "for": st.sampled_from([0, 2]),
        "hold": st.sampled_from([0, 3]),
        "on_stale": st.sampled_from(["silent", "false", "true", "keep"]),
    },
)
MOMENTS = st.lists(
    st.tuples(st.sampled_from([0.5, 1, 3, 7]), st.dictionaries(st.sampled_from(["p/x", "q/1", "q/2"]), st.integers(-2, 4), max_size=3)), max_size=12
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STATES, min_size=1, max_size=4), MOMENTS)
def test_a_state_that_is_said_never_to_win_never_wins(states: list[dict[str, object]], moments: list[tuple[float, dict[str, int]]]):
    names = [f"s{number}" for number in range(len(states))]
    rules = Rules.model_validate(
        {"gridtone": 1, "signals": SIGNALS_OF_PROPERTY, "states": dict(zip(names, states, strict=True)) | {"rest": {"silent": True}}, "fallback": "rest"}
    )
    said = [problem.message for problem in doubts(rules, Document("", Path("x")))]
    never = {name for name in [*names, "rest"] for text in said if f"`{name}` can never" in text or f"the fallback `{name}` is never" in text}
    evaluator, now, active = Evaluator(rules, 0.0), 0.0, set()
    for pause, values in moments:
        now += pause
        active |= {standing.state for standing in evaluator.until(now)}
        evaluator.ingest([Reading(point, float(value), now) for point, value in values.items()], now)
        active.add(evaluator.active)
    assert not active & never, said


QUERY = {"measurement": "m", "fields": ["p_mw"], "point": "{tag:kind}/{field}", "where": {"kind": "line"}}
MQTT = {"kind": "mqtt", "host": "h"}
ALERTS = {"port": 9095, "token": {"env": "TOKEN"}}


@pytest.mark.parametrize(
    ("adapter", "delivered", "not_delivered"),
    [
        (MqttConfig(**MQTT, topics=[{"topic": "g/{element}/{id}/{quantity}", "point": "{element}/{id}/{quantity}"}]), "line/*/loading_pct", "grid/load_mw"),
        (MqttConfig(**MQTT, topics=[{"topic": "g/l{id}/v", "point": "line/L{id}/loading_pct"}]), "line/L7/loading_pct", "line/7/loading_pct"),
        (MqttConfig(**MQTT, topics=[{"topic": "g/l{id}/v", "point": "line/{id}/loading_pct"}]), "line/**", "bus/**"),
        (MqttConfig(**MQTT, topics=[{"topic": "g/{rest...}", "point": "x/{rest}"}]), "x/a/b/c", "y/a/b/c"),
        (MqttConfig(**MQTT, topics=[{"topic": "g/{id}", "point": "line/{id}", "values": {"p.mw": "p_mw"}}]), "line/*/p_mw", "line/*/q_mvar"),
        (WebhookConfig(**ALERTS), "alert/heartbeat", "line/A/loading_pct"),
        (WebhookConfig(**ALERTS), "alert/*/*/active", "alert/*/*/acknowledged"),
        (WebhookConfig(**ALERTS, point="a/{fingerprint}"), "a/*/priority", "a/*"),
        (
            InfluxConfig(url="http://h", database="d", queries=[QUERY]),
            "line/p_mw",
            "bus/p_mw",
        ),
    ],
)  # fmt: skip
def test_which_points_an_adapter_delivers(adapter: MqttConfig | InfluxConfig | WebhookConfig, delivered: str, not_delivered: str):
    assert may_deliver(adapter, delivered)
    assert not may_deliver(adapter, not_delivered)
    assert may_deliver(ReplayConfig(file=Path("x.csv")), not_delivered)


def test_a_site_whose_adapters_do_not_deliver_a_point(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(f"{SIGNALS}states:\n{ALL_USED}  day: {{prompt: steady}}\nfallback: day\n")
    topics = '[{topic: "scada/{kind}/{id}/{quantity}", point: "{kind}/{id}/{quantity}"}]'
    (tmp_path / "site.yaml").write_text(f"rules: {tmp_path}/rules.yaml\nadapters:\n- {{kind: mqtt, host: broker, topics: {topics}}}\n")
    run = CliRunner().invoke(main, ["check", str(tmp_path / "site.yaml")])
    assert run.exit_code == 0
    assert "rules.yaml:3:14: warning: no adapter delivers `grid/load_mw`, so the signal `load` stays unknown" in run.output
    assert run.output.count("warning:") == 1


def test_mistakes_within_parts_and_between_them_are_reported_in_one_round(tmp_path: Path):
    states = "  a: {when: laod > 5, holt: 3s, prompt: calm}\n  b: {when: out > 5 and (load, prompt: calm}\n  c: {when: volts > 1, prompt: calm}\n"
    run = check(tmp_path, f"{SIGNALS.replace('unit', 'unti')}states:\n{states}fallback: d\n")
    assert run.exit_code == 1
    assert [line.split("rules.yaml:")[1].split("; ")[0] for line in run.output.splitlines()] == [
        "3:28: `unti` is not a key of signals.load",
        "7:13: `laod` is not a signal",
        "7:23: `holt` is not a key of states.a",
        "8:29: expected one of > >= < <= == !=, found the end",
        "9:13: `volts` is not a signal",
        "10:11: the fallback `d` is not a state",
    ]


def site_of(folder: Path, engine: str, prompt: str) -> Result:
    rules = f"{SIGNALS}states:\n{ALL_USED}  day: {{prompt: {prompt}}}\nfallback: day\n".replace("prompt: calm", "silent: true")
    (folder / "rules.yaml").write_text(rules)
    (folder / "site.yaml").write_text(f"rules: {folder}/rules.yaml\nengines:\n- {engine}\n")
    return CliRunner().invoke(main, ["check", str(folder / "site.yaml")])


@pytest.mark.parametrize(
    ("engine", "prompt", "warnings"),
    [
        ("{name: composer}", "steady with quuxes", ["rules.yaml:8:29: warning: the composer cannot follow `quuxes`"]),
        ("{name: jukebox}", "steady with quuxes", ["rules.yaml:8:29: warning: jukebox cannot follow `quuxes` in the prompt of `day`"]),
        (
            "{name: jukebox}",
            "{text: steady, tempo_bpm: 60, instruments: [piano]}",
            ["rules.yaml:8:32: warning: jukebox does not follow `tempo_bpm`, `instruments` in the prompt of `day`; it knows artist, genre and lyrics"],
        ),
        ("{name: undertone, options: {weights: w}}", "steady with quuxes", []),
        ("{name: auto, options: {weights: w}}", "steady with quuxes", ["rules.yaml:8:29: warning: the composer cannot follow `quuxes`"]),
        ("{name: auto, options: {weight: w}}", "steady", ["warning: `weight` is not an option of auto; did you mean `weights`?"]),
        ("{name: compser}", "steady", ["site.yaml:3:10: warning: no engine is called `compser` here; did you mean `composer`?"]),
        ("{name: jukebox, options: {accept_license: x}}", "steady", ["warning: `accept_license` is not an option of jukebox; did you mean `accept_licence`?"]),
    ],
)  # fmt: skip
def test_a_prompt_is_for_the_engine_that_the_site_chose(tmp_path: Path, engine: str, prompt: str, warnings: list[str]):
    run = site_of(tmp_path, engine, prompt)
    assert run.exit_code == 0, run.output
    assert run.output.count("warning:") == len(warnings), run.output
    assert [warning for warning in warnings if warning not in run.output] == [], run.output


def test_an_empty_file_is_not_passed_over(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text("# saved half\n")
    assert "rules.yaml:1:1: warning: the file is empty" in CliRunner().invoke(main, ["check", str(tmp_path / "rules.yaml")]).output


@pytest.mark.parametrize("text", ["gridtone: 1\nstate:\n  day: {prompt: calm}\n", "gridtone: 1\nfallback: day\n"])
def test_rules_with_a_slip_in_a_section_are_still_taken_for_rules(tmp_path: Path, text: str):
    run = check(tmp_path, text)
    assert run.exit_code == 1 and "rules.yaml:1:1: the document lacks `states`" in run.output
    assert "known here: adapters" not in run.output
    assert ("state:" in text) == ("rules.yaml:2:1: `state` is not a key of the document; did you mean `states`?" in run.output)
