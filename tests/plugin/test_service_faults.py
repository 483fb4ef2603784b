"""The service while something around it is not as it should be: a database that cannot be read, rules that are edited under the state that plays, a clock."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

import gridtone.service
from gridtone.clock import Clock
from gridtone.config import Site
from gridtone.service import Service
from gridtone_adapters import Health, Reading
from room_site import LASTING_RULES, fill_library, site_of
from waiting import until


class Feed:
    """An adapter that yields what a test gives it."""

    name = "feed"

    def __init__(self) -> None:
        self._batches: Queue[list[Any]] = Queue()

    def tell(self, load: object) -> None:
        self._batches.put([Reading("grid/load_pct", load, time.time(), "%")])

    def batches(self) -> Iterator[list[Reading]]:
        yield from iter(self._batches.get, [])

    def health(self) -> Health:
        return Health(self.name, connected=True)

    def close(self) -> None:
        self._batches.put([])


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Feed:
    feed = Feed()
    monkeypatch.setattr(gridtone.service, "open_adapter", lambda _: feed)
    return feed


def site_with(folder: Path, rules: dict[str, Any], **settings: Any) -> Site:
    """A site whose rules lie in a file, and whose library has a track for each state."""
    (folder / "rules.yaml").write_text(json.dumps(rules))
    site = site_of(folder, 1, rules=str(folder / "rules.yaml"), **settings)
    fill_library(site)
    return site


def with_state(rules: dict[str, Any], name: str, **facts: Any) -> dict[str, Any]:
    """The rules with one state defined anew."""
    return {**rules, "states": {**rules["states"], name: facts}}


def plays(service: Service, state: str) -> bool:
    track = service.cue().track
    return track is not None and track.state == state


@contextmanager
def unreadable_tracks(site: Site) -> Iterator[None]:
    """A database without its table of tracks, as after damage to the file."""

    def rename(before: str, after: str) -> None:
        with closing(sqlite3.connect(site.data / "gridtone.db", timeout=60)) as database:
            database.execute(f"ALTER TABLE {before} RENAME TO {after}")
            database.commit()

    rename("tracks", "gone")
    try:
        yield
    finally:
        rename("gone", "tracks")


def test_a_library_that_cannot_be_read_is_silence_and_telemetry_goes_on(tmp_path: Path, feed: Feed, caplog: pytest.LogCaptureFixture):
    site = site_with(tmp_path, LASTING_RULES, conductor={"dwell_seconds": 600})
    with Service(site) as service:
        feed.tell(50)
        until(lambda: plays(service, "low"), seen=service.cue)
        with unreadable_tracks(site):
            feed.tell(95)
            until(lambda: service.cue().action == "silence", seen=service.cue)
            assert "cannot be read" in service.cue().reason["en"] and service.cue().state == "high"
            assert "cannot be read" in service.sampler().problem
            silent = service.cue().id
            feed.tell(50)
            until(lambda: service.standing().state == "low", seen=service.standing)
            feed.tell(95)
            until(lambda: service.standing().state == "high", seen=service.standing)
            assert service.alive() and service.adapters()[0].connected
            assert service.cue().action == "silence" and service.cue().id <= silent + 2, "one order for each state"
        until(lambda: plays(service, "high"), seen=service.cue)
        assert "cannot be read" not in service.sampler().problem
        until(lambda: [span.state for span in service.history(0, time.time() + 1)][-3:] == ["high", "low", "high"])
    assert sum("cannot be read" in record.message for record in caplog.records) == 3, "the log says so once a state, not four times a second"


def test_a_batch_that_cannot_be_taken_costs_only_itself(tmp_path: Path, feed: Feed):
    with Service(site_with(tmp_path, LASTING_RULES)) as service:
        feed.tell("no number, against the contract")
        [health] = until(lambda: [health for health in service.adapters() if health.problem])
        assert not health.connected and "went wrong" in health.problem and health.dropped == 1
        feed.tell(50)
        until(lambda: plays(service, "low"), seen=service.cue)
        [health] = until(lambda: [health for health in service.adapters() if health.connected])
        assert not health.problem and health.dropped == 1


def test_a_save_of_the_state_that_plays_is_followed_at_once(tmp_path: Path, feed: Feed):
    site = site_with(tmp_path, LASTING_RULES)
    calm = LASTING_RULES["states"]["low"]
    with Service(site) as service:
        feed.tell(50)
        until(lambda: plays(service, "low"), seen=service.cue)
        since = service.standing().since
        site_rules = tmp_path / "rules.yaml"
        site_rules.write_text(json.dumps(with_state(LASTING_RULES, "low", when=calm["when"], silent=True)))
        until(lambda: service.cue().action == "silence", seen=service.cue)
        assert service.cue().state == "low"
        site_rules.write_text(json.dumps(with_state(LASTING_RULES, "low", **calm, severity="restorative", title="quiet")))
        until(lambda: plays(service, "low"), seen=service.cue)
        assert service.standing().since == since, "it is the same state as before"


def test_a_site_whose_rules_are_a_fallback_alone_plays_and_has_a_history(tmp_path: Path, feed: Feed):
    site = site_with(tmp_path, {"gridtone": 1, "states": {"calm": {"prompt": "calm"}}, "fallback": "calm"})
    with Service(site) as service:
        until(lambda: plays(service, "calm"), seen=service.cue)
        until(lambda: [span.state for span in service.history(0, time.time() + 1)] == ["calm"])


def test_rules_of_a_fallback_alone_end_the_state_that_they_no_longer_have(tmp_path: Path, feed: Feed):
    site = site_with(tmp_path, {**LASTING_RULES, "states": {**LASTING_RULES["states"], "calm": {"prompt": "calm"}}, "fallback": "calm"})
    with Service(site) as service:
        feed.tell(95)
        until(lambda: plays(service, "high"), seen=service.cue)
        (tmp_path / "rules.yaml").write_text(json.dumps({"gridtone": 1, "states": {"calm": {"prompt": "calm"}}, "fallback": "calm"}))
        until(lambda: plays(service, "calm"), seen=service.cue)
        assert service.standing().state == "calm"


def test_a_clock_tells_when_it_was_set_back_and_not_when_it_stood_still():
    wall, steady = [1e9], [5.0]
    clock = Clock(lambda: wall[0], lambda: steady[0])

    def after(seconds: float, set_back: float = 0.0) -> float:
        steady[0] += seconds
        wall[0] += seconds - set_back
        return round(clock.look()[1], 3)

    assert (after(0.25), after(900), after(10, set_back=-7200), after(10)) == (0, 0, 0, 0), "nor when it was set ahead"
    assert (after(0.25, set_back=3600), after(0.25)) == (3600, 0)
    assert (after(300, set_back=7200), after(300)) == (7200, 0), "though hardly later than at the last look, or earlier"
    assert [after(1, set_back=0.4) for _ in range(3)] == [0, 0, 1.2]


def test_a_clock_that_is_set_back_costs_no_music_no_telemetry_and_no_save(tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch):
    site = site_with(tmp_path, LASTING_RULES, conductor={"dwell_seconds": 3})
    real = time.time
    with Service(site) as service:
        feed.tell(50)
        until(lambda: plays(service, "low"), seen=service.cue)
        before, since = service.cue(), service.standing().since
        set_back = 7200.0
        monkeypatch.setattr(time, "time", lambda: real() - set_back)
        until(lambda: service.cue().id > before.id, seen=service.cue)
        assert service.cue().track == before.track and abs(service.cue().time - (before.time - set_back)) < 0.1, "what plays goes on"
        assert abs(service.standing().since - (since - set_back)) < 0.1
        feed.tell(95)
        until(lambda: plays(service, "high"), seen=service.cue)
        feed.tell(50)
        until(lambda: plays(service, "low"), seen=service.cue)
        assert service.cue().time <= time.time() + 10, "at the next bar, after the dwell"
        low = {key: value for key, value in LASTING_RULES["states"]["low"].items() if key != "prompt"}
        (tmp_path / "rules.yaml").write_text(json.dumps(with_state(LASTING_RULES, "low", **low, silent=True)))
        until(lambda: service.cue().action == "silence", seen=service.cue)
        heard = [event.payload for event in service.events._events if event.kind == "cue"]
        assert [cue.action for cue in heard if cue.id > before.id] == ["play", "play", "play", "silence"]
        [trend] = service.signals(0, 1e12)
        assert list(trend.times) == sorted(trend.times) and trend.times[-1] <= time.time()


def test_a_clock_that_is_set_back_makes_nothing_fresh(tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch):
    rules = {**LASTING_RULES, "signals": {"load": {**LASTING_RULES["signals"]["load"], "stale_after": 6}}}
    site = site_with(tmp_path, rules)
    real = time.time
    with Service(site) as service:
        feed.tell(50)
        told = time.monotonic()
        until(lambda: service.standing().state == "low", seen=service.standing)
        monkeypatch.setattr(time, "time", lambda: real() - 7200)
        until(lambda: service.standing().state == "no_data", seen=service.standing)
        assert time.monotonic() - told < 60, "and not after two hours"
        assert service.cue().action == "silence"
