"""Rules edited as people do it: over the API of a real service, in its file, and in both at once."""

import errno
import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests

from gridtone.config import Site
from gridtone.editing.helper import Helper
from gridtone.editing.views import HelperError
from gridtone.proving.check import check_file
from gridtone.recent import ALL_POINTS, READINGS_A_SECOND, STEP_SECONDS, Recent, moments, survey
from gridtone.rules import Evaluator, Rules, load_rules, pack_file
from gridtone.server.tokens import TokenFile
from gridtone_adapters import Quality, Reading
from rule_site import HOURS, RULES, RuleSite, waves
from waiting import until

ROOT = Path(__file__).parents[2]
WARMER = RULES.replace("load > 80 %", "load > 85 %")
BROKEN = RULES.replace("clear:", "claer:")


@pytest.fixture(scope="module", autouse=True)
def one_process() -> Iterator[None]:
    """Every site's checks and replays run in one process, which is warm after the first: to start one costs a second of computing. No music is made."""
    shared = Helper(0)

    class Shared:
        def __init__(self, niceness: int) -> None:
            self.call = shared.call

        def close(self) -> None: ...

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gridtone.editing.desk.Helper", Shared)
        patch.setattr("gridtone.service.WATCH_SECONDS", 0.2)
        patch.setattr("gridtone.stock.stock.Stock._sample_batch", lambda stock: False)
        yield
    shared.close()


@pytest.fixture
def site(tmp_path: Path) -> RuleSite:
    return RuleSite(tmp_path)


@pytest.fixture
def running(site: RuleSite) -> Iterator[RuleSite]:
    with site.running():
        yield site


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuleSite]:
    """A running site for tests that change nothing of it."""
    with RuleSite(tmp_path_factory.mktemp("untouched")).running() as site:
        yield site


def code(answer: requests.Response) -> str:
    return str(answer.json()["error"]["code"])


# Checking


def test_a_mistake_has_its_place_and_its_mending(untouched: RuleSite) -> None:
    checked = untouched.ask("rules/check", "POST", text=BROKEN).json()
    [mark] = checked["marks"]
    line = BROKEN.split("\n")[mark["line"] - 1]
    assert line[mark["column"] - 1 : mark["column"] - 1 + mark["length"]] == "claer"
    assert (checked["good"], mark["severity"], mark["replacement"]) == (False, "error", "clear")
    no_key = untouched.ask("rules/check", "POST", text=RULES.replace("take: max", "").replace("unit:", "where: '> 3'\n    unit:")).json()["marks"][0]
    assert no_key["fix"] == "did you mean `take: count`?"
    assert no_key["replacement"] is None, "that is not what the offending word should read"


def test_what_is_hardly_meant_is_a_warning_and_may_be_saved(running: RuleSite) -> None:
    text = RULES.replace("states:", "  unused: {of: grid/frequency_hz}\nstates:", 1)
    checked = running.ask("rules/check", "POST", text=text).json()
    assert checked["good"]
    assert [(mark["severity"], mark["message"]) for mark in checked["marks"]] == [("warning", "no state uses the signal `unused`")]
    assert running.save(text).ok


def test_no_yaml_at_all_and_nothing(untouched: RuleSite) -> None:
    for text in ("", "]", "\t", "- 1", "gridtone: [", "\x00"):
        checked = untouched.ask("rules/check", "POST", text=text).json()
        assert not checked["good"]
        assert checked["marks"][0]["message"], text
    assert code(untouched.ask("rules/check", "POST", text=3)) == "bad_body"
    assert untouched.ask("rules/check", "POST", text="a" * 1_000_001).status_code == 413


# Saving


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_save_is_written_as_typed_and_taken_over(site: RuleSite, ending: str) -> None:
    site.rules.write_bytes(RULES.replace("\n", ending).encode())
    site.rules.chmod(0o640)
    with site.running():
        assert site.versions() == [(1, "file", "")]
        saved = site.save(WARMER, "the feeder was renewed")
        assert saved.json() | {"time": 0} == {
            "number": 2, "time": 0, "author": "local", "reason": "the feeder was renewed", "restores": None, "text": WARMER
        }  # fmt: skip
        assert site.rules.read_bytes() == WARMER.replace("\n", ending).encode()
        assert site.rules.stat().st_mode & 0o777 == 0o640
        site.follows("load > 85 %")
        assert until(lambda: site.saved()["in_force"])
        assert site.saved()["version"]["number"] == 2
        assert [file.name for file in site.folder.iterdir() if "incoming" in file.name] == []
        exported = [line for line in _audit(site) if line[1] == "rules_saved"]
        assert [(person, json.loads(detail)) for person, _, detail in exported] == [("local", {"version": 2, "reason": "the feeder was renewed"})]


def _audit(site: RuleSite) -> list[tuple[str, str, str]]:
    with sqlite3.connect(site.data / "gridtone.db") as database:
        return list(database.execute("SELECT person, action, detail FROM audit ORDER BY number"))


def test_what_does_not_pass_is_not_saved(untouched: RuleSite) -> None:
    refused = untouched.save(BROKEN)
    assert (refused.status_code, code(refused)) == (422, "rules_refused")
    assert "line 13:5: `claer` is not a key" in refused.json()["error"]["message"]
    assert code(untouched.save(RULES)) == "rules_refused", "nothing was changed"
    assert code(untouched.save(WARMER, reason=" ")) == "bad_body"
    assert untouched.rules.read_text() == RULES
    assert len(untouched.versions()) == 1


def test_who_saves_over_somebody_elses_save_is_told_and_nothing_is_lost(running: RuleSite) -> None:
    base = running.saved()["fingerprint"]
    assert running.save(WARMER, "mine", base).ok
    late = running.save(RULES.replace("load > 80 %", "load > 70 %"), "too late", base)
    assert (late.status_code, code(late)) == (409, "changed_meanwhile")
    assert running.rules.read_text() == WARMER
    running.follows("load > 85 %")

    by_hand = RULES.replace("load > 80 %", "load > 60 %")
    base = running.saved()["fingerprint"]
    running.rules.write_text(by_hand)
    assert code(running.save(RULES, "too late again", base)) == "changed_meanwhile", "even before the service has seen it"
    running.follows("load > 60 %")
    until(lambda: running.versions()[0] == (3, "file", ""), seen=running.versions)
    assert running.ask("rules/versions/3").json()["text"] == by_hand


def test_what_was_changed_by_hand_while_the_service_was_down_is_a_version(site: RuleSite) -> None:
    with site.running():
        pass
    site.rules.write_text(WARMER)
    with site.running():
        assert site.versions() == [(2, "file", ""), (1, "file", "")]
    with site.running():
        assert len(site.versions()) == 2, "nothing was changed"


def test_a_broken_file_is_shown_and_can_be_mended(running: RuleSite) -> None:
    running.rules.write_text(BROKEN)
    until(lambda: running.saved()["problem"])
    shown = running.saved()
    assert shown["text"] == BROKEN
    assert (shown["in_force"], shown["version"]) == (False, None)
    assert "claer" in shown["problem"]
    assert len(running.versions()) == 1
    assert running.save(WARMER).ok
    running.follows("load > 85 %")
    assert running.saved()["problem"] == ""


@pytest.mark.parametrize("value", ["!!bool maybe", '!!int ""', '!!float ""', '"\\UFFFFFFFF"'])
def test_no_save_is_invisible(running: RuleSite, value: str) -> None:
    running.rules.write_text(RULES.replace("priority: 20", f"priority: {value}"))
    until(lambda: running.saved()["problem"])
    assert f"{running.rules}:" in running.saved()["problem"]


def test_nor_is_one_that_nobody_expected(running: RuleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(site: Site) -> Rules:
        raise KeyError("maybe")

    with monkeypatch.context() as patch:
        patch.setattr(Site, "load_rules", fail)
        running.rules.write_text(WARMER)
        until(lambda: running.saved()["problem"])
    assert running.saved()["problem"] == f"{running.rules} cannot be read (KeyError: 'maybe'); see the log"
    assert not running.saved()["in_force"]
    running.rules.write_text(WARMER + "\n")
    running.follows("load > 85 %")
    assert running.saved()["problem"] == ""


def test_a_file_that_can_be_written_but_not_replaced(running: RuleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a container mounts the one file."""

    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(Path, "replace", refuse)
    before = running.rules.stat().st_ino
    assert running.save(WARMER).ok
    assert (running.rules.read_text(), running.rules.stat().st_ino) == (WARMER, before)


def test_a_file_that_cannot_be_written_costs_nothing(running: RuleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr("gridtone.editing.rules_file.write_synced", refuse)
    refused = running.save(WARMER)
    assert (refused.status_code, code(refused)) == (503, "file_unusable")
    assert len(running.versions()) == 1, "no version that never was"


# Versions


def test_a_version_is_brought_back_as_a_new_one(running: RuleSite) -> None:
    running.save(WARMER, "warmer")
    running.follows("load > 85 %")
    answer = running.ask("rules/versions/1/restore", "POST", base=running.saved()["fingerprint"], reason="too many alerts")
    assert (answer.json()["number"], answer.json()["restores"]) == (3, 1)
    running.follows("load > 80 %")
    assert running.rules.read_text() == RULES
    assert running.versions() == [(3, "local", "too many alerts"), (2, "local", "warmer"), (1, "file", "")]
    assert code(running.ask("rules/versions/9/restore", "POST", base="", reason="x")) == "no_such_version"
    for number in ("9", "x", "-1", "1" * 40, "²"):
        assert running.ask(f"rules/versions/{number}").status_code == 404


def test_versions_are_paged_and_stay(running: RuleSite) -> None:
    for limit in range(81, 85):
        assert running.save(RULES.replace("load > 80 %", f"load > {limit} %"), f"{limit}").ok
    first = running.ask("rules/versions?limit=3").json()
    rest = running.ask(f"rules/versions?limit=3&before={first['next_before']}").json()
    assert [version["number"] for version in first["versions"] + rest["versions"]] == [5, 4, 3, 2, 1]
    assert rest["next_before"] is None
    for query in ("limit=0", "limit=201", "limit=x", "before=0"):
        assert code(running.ask(f"rules/versions?{query}")) == "bad_parameter"
    with sqlite3.connect(running.data / "gridtone.db") as database:
        for change in ("UPDATE rules_versions SET author = 'nobody'", "DELETE FROM rules_versions"):
            with pytest.raises(sqlite3.DatabaseError, match="versions of the rules stay"):
                database.execute(change)


# Where rules come from


def test_a_pack_is_made_the_sites_own_and_stays_so(tmp_path: Path) -> None:
    site = RuleSite(tmp_path, "{pack: transmission}")
    pack = pack_file("transmission").read_text(encoding="utf-8")
    copy = site.data / "rules/transmission.yaml"
    with site.running():
        saved = site.saved()
        assert (saved["source"], saved["name"], saved["text"]) == ("pack", "transmission", pack)
        assert site.versions() == [(1, "gridtone", "pack transmission")]
        assert site.save(pack, "ours from now on").ok
        assert (site.saved()["source"], site.saved()["name"]) == ("file", str(copy))
        assert site.save(pack.replace("max_loading > 100 %", "max_loading > 102 %"), "more headroom").ok
        until(lambda: "max_loading > 102 %" in site.ask("explain").text)
    with site.running():
        assert "max_loading > 102 %" in site.ask("explain").text, "after a restart"
        assert "max_loading > 102 %" in site.saved()["text"]
        assert len(site.versions()) == 3
        copy.unlink()
        until(lambda: "max_loading > 100 %" in site.ask("explain").text, seen=lambda: site.ask("explain").text)
        assert site.saved()["source"] == "pack"
    assert pack_file("transmission").read_text(encoding="utf-8") == pack, "gridtone's own stays as it is"


def test_the_check_of_a_site_reads_its_own_copy(tmp_path: Path) -> None:
    site = RuleSite(tmp_path, "{pack: transmission}")
    assert check_file(site.config).found.endswith("9 signals, 8 states")
    (site.data / "rules").mkdir(parents=True)
    (site.data / "rules/transmission.yaml").write_text(RULES, encoding="utf-8")
    assert check_file(site.config).found.endswith("1 signal, 3 states")


def test_rules_in_the_sites_file_are_shown_and_not_edited(tmp_path: Path) -> None:
    inline = "\n".join(f"  {line}" if line else "" for line in RULES.split("\n"))
    site = RuleSite(tmp_path, f"\n{inline}")
    with site.running():
        saved = site.saved()
        assert (saved["source"], saved["name"]) == ("inline", str(site.config))
        assert saved["text"].strip() == "\n".join(RULES.split("\n")[1:]).strip()
        refused = site.save(WARMER)
        assert (refused.status_code, code(refused)) == (503, "file_unusable")
        assert "file of their own" in refused.json()["error"]["message"]
        site.config.write_text(site.config.read_text().replace("load > 80 %", "load > 83 %"))
        site.follows("load > 83 %")
        until(lambda: len(site.versions()) == 2, seen=site.versions)
        site.config.write_text(f"data: {site.data}\nserver: {{port: 0}}\n")
        until(lambda: site.saved()["text"] == "")
        site.follows("(dead_buses >= 1 or lost_load > 0.5 MW) and restoring < 0.5")  # as after a restart: the pack, since nothing else is said


def test_a_listener_reads_and_an_editor_writes(site: RuleSite) -> None:
    site.data.mkdir()
    listener, editor = (TokenFile(site.data).create(f"the {role}", role) for role in ("listener", "editor"))
    with site.running():
        assert requests.get(f"{site.url}/rules", timeout=60).ok, "the page itself tells nothing"
        assert site.ask("rules").status_code == 401
        answer = site.ask("rules", token=listener).json()
        assert (answer["person"], answer["may_edit"]) == ("the listener", False)
        base = answer["rules"]["fingerprint"]
        asked = [
            ("rules", "PUT", {"text": WARMER, "base": base, "reason": "x"}),
            ("rules/check", "POST", {"text": WARMER}),
            ("rules/replay", "POST", {"text": WARMER}),
            ("rules/versions/1/restore", "POST", {"base": base, "reason": "x"}),
        ]
        for path, method, body in asked:
            assert code(site.ask(path, method, listener, **body)) == "role_needed"
        assert site.ask("rules/versions", token=listener).ok
        assert site.ask("rules", "PUT", editor, text=WARMER, base=base, reason="x").json()["author"] == "the editor"
        forged = {"Authorization": f"Bearer {editor}", "Origin": "http://evil.example"}
        assert requests.put(f"{site.url}/api/v1/rules", json={"text": RULES, "base": base, "reason": "x"}, headers=forged, timeout=60).status_code == 403


# Comparing


def test_the_last_hours_under_other_rules(site: RuleSite) -> None:
    site.record(waves)
    with site.running():
        same = site.ask("rules/replay", "POST", text=RULES + "# nothing else\n").json()
        assert (same["differences"], same["differing_seconds"]) == ([], 0)
        edited = RULES.replace("load > 95 %", "load > 92 %").replace(
            "states:", "  unseen: {of: line/A/loading_pct}\n  headroom: {expression: 100 - load}\nstates:", 1
        )
        edited = edited.replace("load > 80 %", "load > 80 % or unseen > 100").replace("silent: true", "silent: true\n    on_stale: 'false'")
        found = site.ask("rules/replay", "POST", text=edited.replace("  calm:\n    silent: true\n    on_stale: 'false'", "  calm:\n    silent: true")).json()
    assert found["unseen"] == ["unseen"]
    assert found["readings"] == HOURS * 3600 // STEP_SECONDS
    [difference] = found["differences"]
    assert (difference["state"], difference["other"]) == ("high", "overload")
    assert found["start"] + 0.5 * HOURS * 3600 - 10 < difference["start"] < found["start"] + 0.5 * HOURS * 3600 + 10
    assert 100 < found["differing_seconds"] < HOURS * 3600 / 10
    assert [stretch["state"] for stretch in found["edited"]["stretches"]].count("overload") == 1
    assert {figure["state"] for figure in found["current"]["figures"]} >= {"high", "calm"}
    assert {state["name"] for state in found["edited"]["states"]} == {"overload", "high", "calm", "no_data", "no_state"}
    assert found["spacing_seconds"] == STEP_SECONDS + 1


def test_nothing_recorded_and_a_text_with_mistakes(running: RuleSite) -> None:
    assert code(running.ask("rules/replay", "POST", text=RULES)) == "no_readings"
    running.record(waves)
    assert code(running.ask("rules/replay", "POST", text=BROKEN)) == "rules_refused"
    assert running.ask("rules/replay", "POST", text=RULES).ok


# What is kept for that


@pytest.fixture
def rules(site: RuleSite) -> Rules:
    return load_rules(site.rules)


def test_only_what_changed_is_kept_in_a_ring(rules: Rules, tmp_path: Path) -> None:
    evaluator, recent = Evaluator(rules, 1e9), Recent(tmp_path / "kept", 1)
    for step in range(2 * 720):
        now = 1e9 + step * STEP_SECONDS
        if step % 2 == 0:
            readings = [Reading("grid/load_pct", float(step), now - 1.5, "%", Quality.UNCERTAIN), Reading("line/A/loading_pct", 7.0, 1e9)]
            evaluator.ingest([*readings, Reading("line/B/loading_pct", 1.0, now, "", Quality.BAD)], now)
        assert recent.due(now)
        recent.look(evaluator, now)
        if recent.full(now):
            recent.write()
    recent.write()
    kept = list(moments(tmp_path / "kept", 0))
    assert 1e9 + 3600 - 600 < kept[0][0] < 1e9 + 3600, "an hour, and the files that reach into it"
    rows = [row for _, rows in kept for row in rows]
    assert {row[0] for row in rows} == {"grid/load_pct"}, "the others said nothing new, or nothing good"
    assert rows[-1] == ("grid/load_pct", 1438.0, 1e9 + 1438 * 5 - 1.5, "%", Quality.UNCERTAIN)
    assert [row[1] for row in rows] == list(np.arange(rows[0][1], 1439, 2))
    assert survey(tmp_path / "kept", 1e9 + 7000).points == {"grid/load_pct"}
    assert not Recent(tmp_path, 0).due(2e9), "0 hours keep nothing"


def test_where_much_changes_it_looks_less_often_and_only_at_what_the_rules_speak_of(rules: Rules, tmp_path: Path) -> None:
    evaluator, recent = Evaluator(rules, 1e9), Recent(tmp_path, 24)
    many = [Reading(f"line/{i}/loading_pct", 50.0, 1e9) for i in range(500)]
    evaluator.ingest([*many, Reading("grid/load_pct", 50.0, 1e9)], 1e9)
    recent.look(evaluator, 1e9)
    assert not recent.due(1e9 + 500 / READINGS_A_SECOND)
    assert recent.due(1e9 + 502 / READINGS_A_SECOND)
    evaluator.ingest([Reading(f"bus/{i}/voltage_pu", 1.0, 1e9 + 10) for i in range(ALL_POINTS)] + [Reading("grid/load_pct", 51.0, 1e9 + 10)], 1e9 + 10)
    recent.look(evaluator, 1e9 + 20)
    recent.write()
    assert [len(rows) for _, rows in moments(tmp_path, 0)] == [501, 1]


def test_a_damaged_file_costs_only_itself(site: RuleSite, caplog: pytest.LogCaptureFixture) -> None:
    site.record(waves)
    files = sorted((site.data / "readings").glob("*.npz"))
    files[3].write_bytes(files[3].read_bytes()[:100])
    files[4].write_bytes(b"")
    whole = sum(len(rows) for _, rows in moments(site.data / "readings", 0))
    assert whole == HOURS * 720 - 2 * 61
    assert files[3].name in caplog.text


def test_the_running_service_keeps_readings_and_survives_a_disk_that_refuses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording = tmp_path / "recording.csv"
    recording.write_text("time,grid/load_pct\n" + "\n".join(f"{1_700_000_000 + i / 10},{50 + i % 30}" for i in range(600)))
    site = RuleSite(tmp_path, more=f"adapters: [{{kind: replay, file: {recording}, loop: true}}]\n")
    with site.running():
        until(lambda: site.ask("rules/replay", "POST", text=RULES).ok, seen=lambda: site.ask("rules/replay", "POST", text=RULES).text)
        assert list((site.data / "readings").glob("*.npz"))
    for file in (site.data / "readings").iterdir():
        file.unlink()
    (site.data / "readings").rmdir()
    (site.data / "readings").write_text("no folder")
    with site.running():
        until(lambda: code(site.ask("rules/replay", "POST", text=RULES)) == "no_readings" and "are not kept for a replay" in caplog.text)
        assert requests.get(f"{site.url}/healthz", timeout=60).ok


# The process that computes


def test_a_helper_that_hangs_or_dies_is_told_and_replaced() -> None:
    helper = Helper(0)
    try:
        assert helper.call(60, os.getpid) != os.getpid()
        with pytest.raises(ValueError, match="could not convert"):
            helper.call(60, float, "not a number")
        with pytest.raises(HelperError, match=r"more than 0\.5 s"):
            helper.call(0.5, time.sleep, 60)
        with pytest.raises(HelperError, match="died"):
            helper.call(60, signal.raise_signal, signal.SIGKILL)
        again = helper.call(60, os.getpid)
    finally:
        helper.close()
    with pytest.raises(ProcessLookupError):
        os.kill(again, 0)


# The editor's code


def test_the_bundle_is_of_the_versions_that_are_pinned() -> None:
    lock = json.loads((ROOT / "tools/codemirror/package-lock.json").read_text())["packages"]
    text = (ROOT / "plugin/gridtone/server/static/rules/codemirror.js").read_text(encoding="utf-8")
    banner = text[: text.index("*/")].splitlines()[1:]
    made_of = dict(line.rsplit(" ", 1) for line in banner)
    assert made_of == {name: lock[f"node_modules/{name}"]["version"] for name in made_of}
    pinned = json.loads((ROOT / "tools/codemirror/package.json").read_text())["dependencies"]
    assert pinned.items() <= made_of.items()
    assert len(text) < 500_000
    licences = (ROOT / "plugin/gridtone/server/static/rules/codemirror.LICENSE.txt").read_text()
    assert "MIT License" in licences and "Marijn Haverbeke" in licences
