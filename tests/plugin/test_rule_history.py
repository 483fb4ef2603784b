"""`gridtone replay` and `gridtone explain`: rules over recordings, and a service that is asked why."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pyarrow
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from gridtone.cli import main
from gridtone.documents import parse_document
from gridtone.proving.timeline import STEP_SECONDS, Difference, differences, figures, replay
from gridtone.rules import Evaluator, Rules, load_rules
from gridtone.rules.explanation import explain
from gridtone.rules.source import Pack, read_source
from gridtone.stock.settings import StockSettings
from gridtone_adapters import Quality, Reading, ReplayConfig
from gridtone_adapters.recording import Recording
from gridtone_adapters.replay import ReplayAdapter
from memory_backend import MemoryBackend, running
from waiting import PATIENCE_SECONDS

START = 1_767_225_600  # 2026-01-01
HURRIED = read_source(Pack(pack="transmission", longest_wait=10))
RULES = """
gridtone: 1
signals: {load: {of: grid/load_mw, unit: MW, title: load}}
states:
  high: {when: load > 100, clear: load < 90, for: 10s, priority: 2, prompt: {text: calm, seconds: 30s}}
  day: {prompt: steady}
fallback: day
"""


def gridtone(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Ten minutes of load every 10 s: high from 2:00 to 4:00, and for 10 s at 5:00."""
    rows = [(START + s, "grid/load_mw", 120 if 120 <= s < 240 or 300 <= s < 320 else 50) for s in range(0, 601, 10)]
    (tmp_path / "history.csv").write_text("time,point,value\n" + "".join(f"{t},{p},{v}\n" for t, p, v in rows))
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "other.yaml").write_text(RULES.replace("for: 10s", "for: 1m"))
    return tmp_path / "history.csv"


def test_time_in_each_state_flaps_and_tracks(history: Path):
    [timeline] = replay(Recording(ReplayConfig(file=history)).moments(STEP_SECONDS), [load_rules(history.parent / "rules.yaml")])
    assert [(s.state, s.start - START, s.end - START) for s in timeline.stretches] == [
        ("day", 0, 130), ("high", 130, 240), ("day", 240, 310), ("high", 310, 320), ("day", 320, 600)
    ]  # fmt: skip
    day, high = figures(timeline, StockSettings(track_seconds=100, fresh_plays=2))
    assert (day.state, day.seconds, day.entries, day.longest_seconds, day.flaps) == ("day", 480, 3, 280, 0)
    assert (high.state, high.seconds, high.entries, high.flaps, high.plays, high.tracks) == ("high", 120, 2, 1, 4 + 1, 3)
    assert day.plays == 2 + 1 + 3


def test_replay_reports_compares_and_draws(history: Path, tmp_path: Path):
    run = gridtone("replay", "--from", history, "--rules", tmp_path / "rules.yaml", "--against", tmp_path / "other.yaml", "--picture", tmp_path / "p.svg")
    assert run.exit_code == 0, run.output
    text = run.output
    assert "61 readings, 4 changes of state" in text and "61 readings, 2 changes of state" in text
    assert "changes an hour: 4 at the 99th percentile" in text
    assert "different for 1m (10.00%), in 2 stretches" in text
    assert "2026-01-01 00:02:10 for 50s: high (load is 120 MW, above 100 MW)" in text
    assert "instead: day since 2026-01-01 00:00:00 (then: no other state applies)" in text
    root = ElementTree.parse(tmp_path / "p.svg").getroot()
    stretches = [element.findtext("{http://www.w3.org/2000/svg}title") for element in root.iter("{http://www.w3.org/2000/svg}rect") if len(element)]
    assert len(stretches) == 5 + 3 and any("high from 2026-01-01 00:02:10 to 2026-01-01 00:04:00: load is 120 MW" in str(title) for title in stretches)


def test_only_the_last_part_and_histories_with_readings_far_apart(history: Path, tmp_path: Path):
    run = gridtone("replay", "--from", history, "--rules", tmp_path / "rules.yaml", "--since", "5m")
    assert "2026-01-01 00:05:00 to 2026-01-01 00:10:00" in run.output and "31 readings" in run.output
    sparse = tmp_path / "sparse.csv"
    sparse.write_text("time,grid/load_mw\n" + "".join(f"{START + 900 * n},50\n" for n in range(9)))
    assert "no_data" in gridtone("replay", "--from", sparse, "--rules", tmp_path / "rules.yaml").output
    assert "no_data" not in gridtone("replay", "--from", sparse, "--rules", tmp_path / "rules.yaml", "--stale-after", "20m").output


def test_readings_as_far_apart_as_they_are_fresh_are_no_changes_of_state_but_told(tmp_path: Path):
    (tmp_path / "rules.yaml").write_text(RULES)
    minutes = tmp_path / "minutes.csv"
    minutes.write_text("time,grid/load_mw\n" + "".join(f"{START + 60 * n},50\n" for n in range(31)))
    run = gridtone("replay", "--from", minutes, "--rules", tmp_path / "rules.yaml").output
    assert "31 readings, 0 changes of state" in run and "data went missing 30 times" in run and "--stale-after" in run
    assert "went missing" not in gridtone("replay", "--from", minutes, "--rules", tmp_path / "rules.yaml", "--stale-after", "2m").output


def test_signals_without_readings_are_named(history: Path):
    run = gridtone("replay", "--from", history, "--rules", "transmission").output
    assert "no readings of: load, load_rate, max_loading, branches_out, lowest_voltage, highest_voltage, dead_buses; what depends on them is unknown" in run
    assert "lost_load" not in run, "it has a value while it is absent"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--from", "none.csv"), "cannot read none.csv: no such file; check the path"),
        (("--from", "{history}", "--picture", "{folder}/none/p.svg"), "there is no folder"),
        (("--from", "{history}", "--rules", "{folder}/list.yaml"), "must be a mapping, found `[a, b]`"),
        (("--from", "influx"), "needs --config"),
        (("--from", "{history}", "--since", "soon"), "'soon' is not a duration"),
        (("--from", "{history}", "--rules", "transmision"), "did you mean `transmission`?"),
        (("--from", "{history}", "--rules", "gone.yaml"), "gone.yaml:1:1: no such file"),
        (("--from", "{folder}/rules.yaml"), "its name must end in .csv"),
        (("--from", "{folder}/empty.csv"), "there are no readings to replay"),
        (("--from", "{folder}/broken.parquet"), "cannot read"),
        (("--from", "{history}", "--since", "1s"), "there are no readings to replay but those of one moment"),
        (("--from", "{folder}/other.csv.gz"), "cannot read {folder}/other.csv.gz: zlib inflate failed: incorrect header check; is it complete"),
        (("--from", "{folder}/cut.csv.gz"), "cannot read {folder}/cut.csv.gz: Truncated compressed stream; is it complete"),
        (("--from", "{folder}/cut.jsonl.gz"), "Test it with `gzip -t`"),
        (("--from", "{folder}/folder.csv"), "Is a directory: '{folder}/folder.csv'"),
    ],
)
def test_what_cannot_be_replayed_is_said(history: Path, arguments: tuple[str, ...], message: str):
    (history.parent / "empty.csv").write_text("time,point,value\n")
    (history.parent / "broken.parquet").write_bytes(b"PAR1 this is not")
    (history.parent / "list.yaml").write_text("gridtone: 1\nstates: [a, b]\n")
    (history.parent / "other.csv.gz").write_text("time,point,value\n")
    for kind in ("csv.gz", "jsonl.gz"):
        packed = gzip.compress(b"".join(b"%d,grid/load_mw,50\n" % second for second in range(9999)))
        (history.parent / f"cut.{kind}").write_bytes(packed[: len(packed) // 2])
    (history.parent / "folder.csv").mkdir()
    run = gridtone("replay", *(argument.format(history=history, folder=history.parent) for argument in arguments))
    assert run.exit_code != 0 and message.format(folder=history.parent) in " ".join(run.output.split()) and "Traceback" not in run.output


def test_a_difference_is_the_overlap_of_stretches_that_differ(history: Path):
    one, other = (parse_document(RULES.replace("for: 10s", f"for: {length}"), Rules) for length in ("10s", "1m"))
    timelines = replay(Recording(ReplayConfig(file=history)).moments(STEP_SECONDS), [one, other])
    found = [(d.start - START, d.end - START, d.state, d.other) for d in differences(*timelines) if isinstance(d, Difference)]
    assert found == [(130, 180, "high", "day"), (310, 320, "high", "day")]
    assert not list(differences(timelines[0], timelines[0]))


COLUMNS = ["time", "point", "value", "unit", "quality"]
PLAIN = [(START + n * 0.1, f"p/{n % 3}", n / 7, "MW", ["good", "uncertain", "bad"][n % 3]) for n in range(1000)]
TROUBLED = [*PLAIN[:500], ("yesterday", "p/1", 1, "MW", "good"), (START + 51, "p/1", "n/a", "", ""), (START + 52, "", 3, "MW", "good"), *PLAIN[521:]]
ODD = [*PLAIN[:500], (START + 51, "p/1", "open", "", "fine"), (START + 51, "p/1", 5, "", ""), *PLAIN[521:]]


def write(folder: Path, kind: str, rows: list[tuple[object, ...]]) -> Path:
    file = folder / f"r.{kind}"
    text = "\n".join(",".join(map(str, row)) for row in [COLUMNS, *rows]) + "\n"
    if kind == "csv":
        file.write_text(text)
    elif kind == "csv.gz":
        file.write_bytes(gzip.compress(text.encode()))
    elif kind == "jsonl":
        file.write_text("".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows))
    elif kind == "parquet":
        parquet.write_table(pyarrow.table(dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))), file)
    elif kind == "wide.csv":
        file.write_text("time,a/x,b/y\n" + "".join(f"{row[0]},{row[2]},{'' if n % 5 == 0 else n}\n" for n, row in enumerate(rows)))
    return file


@pytest.mark.parametrize(("kind", "rows"), [*((kind, PLAIN) for kind in ("csv", "csv.gz", "jsonl", "parquet", "wide.csv")), ("csv", TROUBLED), ("csv", ODD)])
def test_columns_are_read_as_rows_are(tmp_path: Path, kind: str, rows: list[tuple[object, ...]]):
    file = write(tmp_path, kind, rows)
    recording, adapter = Recording(ReplayConfig(file=file)), ReplayAdapter(ReplayConfig(file=file))
    moments = list(recording.moments(STEP_SECONDS))
    expected = [tuple(reading) for reading in adapter.recorded()]
    assert [tuple(row) for _, rows in moments for row in rows] == expected and len(expected) > 900
    assert recording.rejected == adapter.health().rejected
    assert all(len({row[2] // STEP_SECONDS for row in rows}) == 1 for _, rows in moments) and recording.fraction == 1.0


@pytest.mark.parametrize(("command", "kind"), [(command, kind) for command in ("replay", "explain") for kind in ("csv", "csv.gz", "parquet")])
def test_times_that_are_dates_are_read_by_a_program_that_has_just_begun(tmp_path: Path, command: str, kind: str):
    """In a process of its own: whatever imports pandas makes more of pyarrow available."""
    (tmp_path / "rules.yaml").write_text(RULES)
    times = [f"2026-01-01T00:00:{second:02}Z" for second in range(0, 60, 10)]
    file = tmp_path / f"r.{kind}"
    text = "time,point,value\n" + "".join(f"{time},grid/load_mw,50\n" for time in times)
    if kind == "parquet":
        dates = pyarrow.array([(START + 10 * n) * 10**6 for n in range(6)], pyarrow.timestamp("us", "UTC"))
        parquet.write_table(pyarrow.table({"time": dates, "point": ["grid/load_mw"] * 6, "value": [50.0] * 6}), file)
    else:
        file.write_bytes(gzip.compress(text.encode()) if kind == "csv.gz" else text.encode())
    program = [sys.executable, "-c", "from gridtone.cli import main; main()"]
    run = subprocess.run([*program, command, "--from", file, "--rules", tmp_path / "rules.yaml"], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert run.returncode == 0, run.stderr
    assert ("6 readings" if command == "replay" else "day (normal) since 2026-01-01 00:00:00, for 50s") in run.stdout


def test_a_table_whose_times_are_dates_is_played_by_a_program_that_has_just_begun(tmp_path: Path):
    file = tmp_path / "r.parquet"
    parquet.write_table(pyarrow.table({"time": pyarrow.array([START * 10**6], pyarrow.timestamp("us", "UTC")), "a/x": [1.5]}), file)
    program = (
        "import sys; from pathlib import Path; from gridtone_adapters import ReplayConfig; from gridtone_adapters.replay import ReplayAdapter; "
        "print([tuple(reading)[:3] for reading in ReplayAdapter(ReplayConfig(file=Path(sys.argv[1]))).recorded()])"
    )
    run = subprocess.run([sys.executable, "-c", program, file], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert run.stdout.strip() == f"[('a/x', 1.5, {float(START)})]", run.stderr


def test_a_replay_finds_what_the_service_would_have_found(tmp_path: Path):
    chance = random.Random(3)
    names = ["grid/load_pct", "grid/load_rate_pct_per_h", *(f"{p}" for n in range(3) for p in (f"line/{n}/loading_pct", f"line/{n}/in_service"))]
    names += [f"bus/1/{what}" for what in ("vm_pu", "energized")]
    limits = {
        "in_service": (0.4, 3),
        "energized": (0.45, 3),
        "vm_pu": (0.88, 1.13),
        "loading_pct": (60, 103),
        "load_pct": (20, 70),
        "load_rate_pct_per_h": (0, 7),
    }
    rows = [
        (START + s, name, chance.uniform(*limits[name.split("/")[-1]]))
        for s in range(0, 3000, 5) if not 1000 < s < 1200 for name in names
    ]  # fmt: skip
    (tmp_path / "r.csv").write_text("time,point,value\n" + "".join(f"{t},{p},{v!r}\n" for t, p, v in rows))
    [timeline] = replay(Recording(ReplayConfig(file=tmp_path / "r.csv")).moments(STEP_SECONDS), [HURRIED])
    evaluator, seen = Evaluator(HURRIED, float(START)), {}
    for now in range(START, START + 3000):  # a service that ticks every second, and then takes what arrives
        readings = [Reading(p, v, float(t)) for t, p, v in rows if t == now]
        for standing in (evaluator.tick(now), evaluator.ingest(readings, now)):
            if standing is not None:
                seen[now] = standing.state
    assert len(seen) > 50 and "no_data" in seen.values()
    changes = {now: state for (now, state), before in zip(seen.items(), [None, *seen.values()], strict=False) if state != before}
    assert {stretch.start: stretch.state for stretch in timeline.stretches if stretch.start < START + 2995} == changes


def test_explain_a_moment_of_a_recording(history: Path, tmp_path: Path):
    run = gridtone("explain", "--from", history, "--rules", tmp_path / "rules.yaml", "--at", "2026-01-01T00:02:04")
    assert run.exit_code == 0, run.output
    assert run.output.startswith("day (normal) since 2026-01-01 00:00:00, for 2m4s: no other state applies\n`high` will be true in 6s if nothing changes")
    assert "    2 high: true, `for` runs for 6s more" in run.output
    assert "+  load > 100 MW: 120 MW, margin 20 MW, decides" in run.output and "-  load < 90 MW: 120 MW, margin 30 MW" in run.output
    assert "  load: 120 MW, 4s old at grid/load_mw" in run.output and "likely" not in run.output, "a recording has no stock that looks ahead"
    late = gridtone("explain", "--from", history, "--rules", tmp_path / "rules.yaml", "--at", "2026-01-01T08:00:00+01:00")
    assert "high: unknown: data are missing" in late.output and "UNKNOWN: stale or missing" in late.output
    early = gridtone("explain", "--from", history, "--rules", tmp_path / "rules.yaml", "--at", "2025-01-01")
    assert early.exit_code == 1 and "no readings before that time" in early.output
    assert "is not a time" in gridtone("explain", "--from", history, "--at", "noon").output


def test_explain_knows_hold_priority_and_quality():
    evaluator = Evaluator(HURRIED, float(START))
    calm = {"grid/load_pct": 70, "grid/load_rate_pct_per_h": 0, "line/A/loading_pct": 120, "line/A/in_service": 1, "bus/1/vm_pu": 1, "bus/1/energized": 1}
    evaluator.ingest([Reading(point, value, START, "", Quality.GOOD) for point, value in calm.items()], START)
    explanation = explain(evaluator, START + 4)
    assert explanation.standing.state == "emergency" and explanation.standing.holds_until == START + 10 and explanation.standing.pending == ()
    verdicts = {state.state: state.verdict for state in explanation.states}
    assert {state for state, verdict in verdicts.items() if verdict == "true"} == {"alert", "peak"}
    assert [state for state, verdict in verdicts.items() if verdict == "active"] == ["emergency"] and set(verdicts.values()) == {"true", "active", "false"}
    assert [state.state for state in explanation.states][:2] == ["in_extremis", "emergency"] and explanation.states[-1].state == "day"
    emergency = explanation.states[1]
    assert emergency.entered and emergency.clear.startswith("max_loading < 95") and emergency.comparisons[0].margin == 20
    assert {signal.name for signal in explanation.signals} == set(HURRIED.signals)
    assert explain(evaluator, START + 11).standing.holds_until == START + 10  # until the next tick looks
    evaluator.tick(START + 11)
    assert explain(evaluator, START + 11).standing.holds_until is None


def test_explain_asks_a_service(tmp_path: Path):
    token = "0123456789abcdef0123"
    (tmp_path / "token").write_text(f"{token}\n")
    backend = MemoryBackend()
    backend.show("alert")
    with running(backend, token_file=tmp_path / "token") as url:
        assert "asks for a token" in gridtone("explain", "--url", url).output
        run = gridtone("explain", "--url", url, "--token-file", tmp_path / "token")
        assert run.exit_code == 0 and run.output.startswith("alert (alert) since")
        assert "\nlikely within 15m:\n   34% evening_peak: at this hour it followed" in run.output and "    2% alert: its limit is 7 min away" in run.output
        assert "   70 alert: ACTIVE" in run.output and "max_line_loading_pct: 92.4 %, 1.2s old at line/HV-12/loading_pct" in run.output
        by_name = CliRunner().invoke(main, ["explain", "--url", url, "--token-env", "MY_TOKEN", "--json"], env={"MY_TOKEN": token})
        assert json.loads(by_name.output)["standing"]["state"] == "alert"
    gone = gridtone("explain", "--url", url)
    assert gone.exit_code == 1 and "is `gridtone serve` running there?" in " ".join(gone.output.split())
