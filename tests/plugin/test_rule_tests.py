"""`gridtone test`: what a rules engineer writes, and what the report says of it."""

import re
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import gridtone.rules
from gridtone.cli import main
from gridtone.documents import DocumentError, parse_document
from gridtone.proving.cases import Suite
from gridtone.proving.series import SeriesField, read_series
from gridtone.proving.trial import in_words
from gridtone_adapters import Quality

PACKS = sorted((Path(gridtone.rules.__file__).parent / "packs").glob("*.test.yaml"))
TRANSMISSION = next(path for path in PACKS if path.name.startswith("transmission."))
RULES = """
gridtone: 1
signals:
  load: {of: grid/load_mw, unit: MW, stale_after: 30s, title: {en: load, zh: 负荷}}
  voltage: {of: bus/*/vm_pu, take: min, absent: 1}
states:
  high: {when: load > 100, clear: load < 90, for: 10s, hold: 20s, priority: 2, prompt: calm}
  low: {when: voltage < 0.9, priority: 1, severity: alert, silent: true}
  day: {prompt: steady}
fallback: day
"""
GOOD, UNSURE = Quality.GOOD, Quality.UNCERTAIN


def test(folder: Path, tests: str, *options: str) -> Result:
    """Run tests of the rules above; the file begins with three lines before `tests`."""
    (folder / "rules.yaml").write_text(RULES)
    (folder / "my.test.yaml").write_text(f"gridtone_tests: 1\nrules: rules.yaml\ninterval: 10s\n{tests}")
    return CliRunner().invoke(main, ["test", str(folder / "my.test.yaml"), *options])


test.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("pack", PACKS, ids=lambda path: path.stem)
def test_every_pack_keeps_its_promises(pack: Path):
    run = CliRunner().invoke(main, ["test", str(pack)])
    assert run.exit_code == 0, run.output


def test_there_are_tests_for_every_pack():
    assert {path.name.removesuffix(".test.yaml") for path in PACKS} == set(gridtone.rules.pack_names())


def test_the_page_shows_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = (Path(__file__).parents[2] / "docs/rule-tools.md").read_text(encoding="utf-8")
    (tmp_path / "my.test.yaml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    shown = page.split("$ gridtone test my.test.yaml\n")[1].split("```")[0]
    assert re.sub(r"0\.\d\d s", "", CliRunner().invoke(main, ["test", "my.test.yaml"]).output) == re.sub(r"0\.\d\d s", "", shown)


@pytest.mark.parametrize(
    ("notation", "samples"),
    [
        ("50x2", [(50, GOOD)] * 3),
        ("0+5x2", [(0, GOOD), (5, GOOD), (10, GOOD)]),
        ("1-0.5x1 -2", [(1, GOOD), (0.5, GOOD), (-2, GOOD)]),
        ("_ 1 _x2 1e3", [None, (1, GOOD), None, None, (1000, GOOD)]),
        ("7? 7!x1 stale", [(7, UNSURE), (7, Quality.BAD), (7, Quality.BAD), "stale"]),
        ("0+1?x1", [(0, UNSURE), (1, UNSURE)]),
    ],
)
def test_the_notation_means_what_promtool_means(notation: str, samples: list[object]):
    assert list(read_series(notation).samples) == samples
    assert read_series(notation).at(len(samples)) is None
    assert read_series(f"{notation} ...").at(10**6) == samples[-1]


@given(st.text(alphabet="0123456789+-x_.?! stale", max_size=20))
def test_no_notation_crashes_or_grows_without_bound(notation: str):
    with suppress(ValidationError):
        assert 0 < len(TypeAdapter(SeriesField).validate_python(notation).samples) <= 1_000_000


def test_what_holds_passes_and_timers_run_between_readings(tmp_path: Path):
    run = test(
        tmp_path,
        """
tests:
  - name: for, hold and clear
    series: {grid/load_mw: 120x1 80 ...}
    expect:
      - {at: 9.9s, state: day, silent: false}
      - {at: 10s, state: high, reason: [load is 120 MW, 负荷为 120 MW], cue: play, plays: day}
      - {at: 29s, state: high}
      - {at: 30s, state: day, plays: high}
      - {at: 51s, plays: day}
  - name: missing telemetry
    series: {grid/load_mw: 50 _x3 50 stale _ 50, bus/1/vm_pu: 0.8 ...}
    expect:
      - {at: 0s, state: no_data}
      - {at: 29.9s, state: no_data}
""",
    )
    assert "ok   for, hold and clear" in run.output and run.exit_code == 1
    assert "FAIL missing telemetry" in run.output and "1 passed, 1 failed" in run.output
    assert "my.test.yaml:17:25: at 0s: expected state `no_data`, got `low`" in run.output


def test_a_fallback_alone_plays(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text("gridtone: 1\nstates:\n  day: {prompt: steady}\nfallback: day\n")
    (tmp_path / "my.test.yaml").write_text("gridtone_tests: 1\nrules: rules.yaml\ntests:\n  - {name: all day, expect: [{at: 0s, state: day, plays: day}]}\n")
    run = CliRunner().invoke(main, ["test", str(tmp_path / "my.test.yaml")])
    assert run.exit_code == 0, run.output


def test_stale_counts_at_once_until_the_next_reading_and_a_point_that_was_never_fresh_is_no_absent_one(tmp_path: Path):
    run = test(
        tmp_path,
        """
tests:
  - name: stale
    series: {grid/load_mw: 50x1 stale 50 _ stale 50x3, bus/1/vm_pu: stale 1 ...}
    expect:
      - {at: 0s, state: no_data, reason: voltage}
      - {at: 10s, state: day}
      - {at: 20s, state: no_data, silent: true, cue: silence, reason: "last reading 30 s ago (limit 30 s)"}
      - {at: 30s, state: day}
      - {at: 40s, state: day}
      - {at: 50s, state: no_data}
      - {at: 60s, state: day}
      - {at: 119.9s, state: day}
      - {at: 120s, state: no_data}
""",
    )
    assert run.exit_code == 0, run.output


def test_a_report_for_build_servers(tmp_path: Path):
    tests = "tests:\n  - {name: right, series: {grid/load_mw: 5 ...}, expect: [{at: 0s, state: day}]}\n"
    tests += "  - {name: wrong, series: {grid/load_mw: 5 ...}, expect: [{at: 0s, state: high, also_true: [low]}]}\n"
    run = test(tmp_path, tests, "--junit", str(tmp_path / "out.xml"))
    assert run.exit_code == 1
    [suite] = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    [right, wrong] = suite
    assert right.find("failure") is None
    text = wrong.findtext("failure") or ""
    assert "my.test.yaml:6:75: at 0s: expected state `high`, got `day`" in text and "expected also_true [low], got []" in text


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ("tests:\n- {name: a, expect: [{at: 0s, state: hihg}]}", "5:38: `hihg` is not a state of the rules; did you mean `high`?"),
        ("tests:\n- {name: a, expect: [{at: 0s}]}", "5:22: nothing is expected"),
        ("tests:\n- {name: a, expect: [{at: 0s, sate: high}]}", "5:31: `sate` is not a key of tests.0.expect.0; did you mean `state`?"),
        (
            "series: {grid/laod_mw: 5 ...}\ntests: [{name: a, expect: [{at: 0s, state: day}]}]",
            "4:10: no signal of the rules speaks of `grid/laod_mw`; did you",
        ),
        ('series: {"bus/*/vm_pu": 5 ...}\ntests: [{name: a, expect: [{at: 0s, state: day}]}]', "4:10: `bus/*/vm_pu` is a pattern"),
        ("series: {grid/load_mw: 5 5z}\ntests: [{name: a, expect: [{at: 0s, state: day}]}]", "4:26: `5z` is neither values"),
        ("series: {grid/load_mw: 5+1}\ntests: [{name: a, expect: [{at: 0s, state: day}]}]", "4:24: `5+1` does not say how often"),
        ("series: {grid/load_mw: 0x20}\ntests: [{name: a, expect: [{at: 0s, state: day}]}]", "4:24: a series is text, but YAML reads this as 32"),
        ("series: {grid/load_mw: 5x99999999999}\ntests: [{name: a, expect: [{at: 0s, state: day}]}]", "4:24: `5x99999999999` makes the series longer"),
    ],
)
def test_mistakes_in_the_tests_themselves_are_found_with_their_place(tmp_path: Path, tests: str, message: str):
    run = test(tmp_path, tests)
    assert run.exit_code == 1 and "ok  " not in run.output
    assert run.output.startswith(f"{tmp_path}/my.test.yaml:{message}") and run.output.count("\n") == 2, run.output


def test_a_file_with_mistakes_does_not_keep_the_others_from_running(tmp_path: Path):
    (tmp_path / "bad.test.yaml").write_text("gridtone_tests: 1\nrules: {pack: transmision}\ntests: [{name: a, expect: [{at: 0s, state: day}]}]")
    run = CliRunner().invoke(main, ["test", f"{tmp_path}/bad.test.yaml", str(TRANSMISSION), "--junit", f"{tmp_path}/out.xml"])
    assert run.exit_code == 1
    assert "bad.test.yaml:2:15: no rules pack is called 'transmision'; did you mean `transmission`?" in run.output
    assert "13 passed, 0 failed, 1 file with mistakes" in run.output
    good, bad = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert (good.get("tests"), bad.get("errors")) == ("13", "1") and "transmision" in (bad.findtext("testcase/error") or "")


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 12), st.text(alphabet="x50_+-.!?{}[]:,'\"\n &*|>#", max_size=6)), min_size=1, max_size=3))
def test_mutated_tests_never_crash_and_every_error_points_into_the_file(edits: list[tuple[int, int, str]]):
    text = TRANSMISSION.read_text(encoding="utf-8")
    for start, length, new in edits:
        text = text[:start] + new + text[start + length :]
    file = TRANSMISSION.with_name("mutated.yaml")  # never written
    try:
        suite = parse_document(text, Suite, file)
    except DocumentError as error:
        lines = text.splitlines()
        assert error.problems and all(1 <= problem.line <= len(lines) + 1 and problem.column >= 1 and problem.message for problem in error.problems)
    else:
        assert suite.tests


def test_rules_in_place_of_tests_and_a_report_to_nowhere(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text("gridtone: 1\nstates: {day: {prompt: calm}}\nfallback: day\n")
    run = CliRunner().invoke(main, ["test", str(tmp_path / "rules.yaml")])
    assert run.exit_code == 1 and "rules.yaml:2:1: these are rules, not tests of rules" in run.output
    nowhere = CliRunner().invoke(main, ["test", str(tmp_path / "rules.yaml"), "--junit", str(tmp_path / "none/report.xml")])
    assert nowhere.exit_code == 2 and "there is no folder" in nowhere.output, "told before the tests run"


def test_bad_rules_are_named_by_their_own_file(tmp_path: Path):
    (tmp_path / "my.test.yaml").write_text("gridtone_tests: 1\nrules: nowhere.yaml\ntests: [{name: a, expect: [{at: 0s, state: day}]}]")
    run = CliRunner().invoke(main, ["test", str(tmp_path / "my.test.yaml")])
    assert run.exit_code == 1 and f"{tmp_path}/nowhere.yaml:1:1: no such file" in " ".join(run.output.split())


@pytest.mark.parametrize(("seconds", "words"), [(0, "0s"), (90, "1m30s"), (3600, "1h"), (0.25, "0.25s"), (7384, "2h3m4s")])
def test_times_are_written_as_in_files(seconds: float, words: str):
    assert in_words(seconds) == words
