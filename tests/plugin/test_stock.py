"""The stock: what is made next, by which engine, and what happens when that goes wrong."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyloudnorm
import pytest
import soundfile
from engines_for_tests import install
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtone.cue import Cue
from gridtone.gate.limits import GateLimits
from gridtone.library.library import Library
from gridtone.library.settings import LibrarySettings
from gridtone.stock.engines import FIRST_REST_SECONDS, EngineChain, EngineChoice
from gridtone.stock.forecast import Expectation
from gridtone.stock.pace import Pace
from gridtone.stock.planner import Need, Wish, plan
from gridtone.stock.settings import StockSettings, cron_trigger
from gridtone.stock.stock import StateNeed, Stock, prompt_hash
from gridtone.stock.view import Level
from gridtone_engine import Attributes, Prompt
from waiting import until

STATES = ("emergency", "alert", "day", "night")
needs_strategy = st.lists(
    st.builds(
        lambda state, wanted, fresh, ending, worn: Need(state, wanted, fresh, max(0, fresh - ending), fresh + worn),
        st.sampled_from(STATES),
        st.integers(0, 5),
        st.integers(0, 6),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    unique_by=lambda need: need.state,
    max_size=4,
)
expectations = st.dictionaries(st.sampled_from(STATES), st.builds(Expectation, st.floats(0, 1)))


@given(needs_strategy, st.sampled_from([None, *STATES]), expectations, st.integers(1, 8))
def test_a_plan_asks_for_what_is_short_and_no_more(needs: list[Need], current: str | None, expected: dict[str, Expectation], batch: int) -> None:
    wishes = plan(needs, current, expected, batch)
    assert wishes == plan(needs, current, expected, batch)
    assert len(wishes) <= batch
    short = {need.state: max(0, need.wanted - need.lasting) for need in needs}
    asked = Counter(wish.state for wish in wishes)
    assert all(count <= short[state] for state, count in asked.items())
    assert bool(wishes) == any(short.values())
    for need in needs:
        if need.state == current and short[need.state] and not need.playable:
            assert wishes == [Wish(need.state, first=True)]
    empty = {need.state for need in needs if short[need.state] and not need.playable}
    assert {wish.state for wish in wishes if wish.first} <= empty
    if len(wishes) == batch > 1:
        assert {wish.state for wish in wishes} & empty or not empty


@given(needs_strategy, st.sampled_from([None, *STATES]), expectations, st.integers(1, 8))
def test_plans_carried_out_fill_the_stock(needs: list[Need], current: str | None, expected: dict[str, Expectation], batch: int) -> None:
    by_state = {need.state: need for need in needs}
    for _ in range(30):
        for wish in plan(list(by_state.values()), current, expected, batch):
            need = by_state[wish.state]
            by_state[wish.state] = replace(need, fresh=need.fresh + 1, lasting=need.lasting + 1, playable=need.playable + 1)
    assert all(need.lasting >= need.wanted for need in by_state.values())


def planned(needs: list[Need], current: str | None, batch: int, **probabilities: float) -> list[str]:
    expected = {state: Expectation(probability) for state, probability in probabilities.items()}
    return [wish.state for wish in plan(needs, current, expected, batch)]


def test_the_fewest_fresh_tracks_come_first_then_what_is_likely_heard() -> None:
    needs = [Need(state, 3, 1, 1, 1) for state in STATES]
    assert planned(needs, "day", 5, day=1, night=0.6, alert=0.2, emergency=0.1) == ["day", "night", "alert", "emergency", "day"]
    needs[1] = Need("alert", 3, 0, 0, 2)
    assert planned(needs, "day", 2, day=1, night=0.6, alert=0.01) == ["alert", "day"], "all that it has is worn"


def test_tracks_are_replaced_before_they_grow_stale() -> None:
    needs = [Need("alert", 3, 3, 0, 3), Need("day", 3, 2, 2, 2)]
    assert planned(needs, "day", 8, alert=0.1, day=1) == ["day", "alert", "alert", "alert"]


def test_at_the_very_start_one_track_comes_first_then_one_for_everyone() -> None:
    needs = [Need(state, 3, 0, 0, 0) for state in STATES]
    assert plan(needs, "day", {}, 8) == [Wish("day", True)]
    assert plan(needs, None, {}, 8) == [Wish("emergency", True)]
    needs[2] = Need("day", 3, 1, 1, 1)
    assert plan(needs, "day", {}, 4) == [Wish("emergency", True), Wish("alert", True), Wish("night", True), Wish("emergency", False)]


def test_the_pace_is_measured_and_says_how_far_to_look_ahead() -> None:
    pace, settings = Pace(), StockSettings(track_seconds=180, per_state=3, fresh_hours=72)
    assert pace.lead_hours(settings, 8) == pytest.approx(24 * 180 / 3600)
    now = 0.0
    for _ in range(40):
        pace.begin(now)
        now += 20 * 180
        pace.made(180, now)
    assert pace.track_seconds(settings) == pytest.approx(20 * 180, rel=0.01)
    assert pace.horizon_seconds(settings) == pace.track_seconds(settings)
    assert pace.lead_hours(settings, 8) == pytest.approx(24, rel=0.01)
    assert pace.lead_hours(settings, 80) == 36, "at most half the time that a track is fresh"


def test_the_chain_falls_back_and_returns() -> None:
    first, second = EngineChoice("first"), EngineChoice("second")
    chain = EngineChain([first, second], longest_rest_seconds=60)
    assert (chain.current(0), chain.problem(0)) == (first, "")
    chain.failed(first, "no GPU", 0)
    assert chain.current(1) == second
    assert chain.problem(1) == "engine first failed: no GPU. engine second fills the stock, and what failed is tried again within 1 minutes"
    chain.worked(second)
    assert chain.current(FIRST_REST_SECONDS) == first
    chain.failed(first, "no GPU", FIRST_REST_SECONDS)
    assert chain.current(4 * FIRST_REST_SECONDS) == second  # the second rest is longer
    assert chain.current(FIRST_REST_SECONDS + 60) == first
    chain.worked(first)
    assert chain.problem(0) == ""
    chain.crashed(first, "died", 0)
    assert chain.current(0) == first
    chain.crashed(first, "died", 0)
    assert chain.current(0) == second
    chain.failed(second, "broken", 0)
    assert chain.current(0) is None
    assert "what is in it goes on playing" in chain.problem(0)


@pytest.mark.parametrize(
    ("expression", "next_run"),
    [("0 3 * * *", "2026-07-01 03:00"), ("30 4 * * 0", "2026-07-05 04:30"), ("0 0 * * 1-5", "2026-07-01 00:00"), ("*/10 0 * * 7", "2026-07-05 00:00")],
)
def test_refresh_reads_weekdays_as_crontab_does(expression: str, next_run: str) -> None:
    start = datetime.fromisoformat("2026-06-30 23:59").astimezone()  # a Tuesday
    assert cron_trigger(expression).get_next_fire_time(None, start).strftime("%Y-%m-%d %H:%M") == next_run


@pytest.mark.parametrize("expression", ["at three", "99 3 * * *", "0 3 * *", ""])
def test_a_refresh_that_never_comes_is_refused(expression: str) -> None:
    with pytest.raises(ValidationError, match="is no crontab expression"):
        StockSettings(refresh=expression)


SETTINGS = StockSettings(per_state=2, track_seconds=12, first_seconds=10, hang_seconds=250, attempts=2, retry_minutes=0.5, refresh=None)


class Site:
    """A library and its stock, and a record of what came in."""

    def __init__(self, data: Path, settings: StockSettings, engines: list[EngineChoice], library: LibrarySettings) -> None:
        self.library = Library.open(library, data)
        self.changed = threading.Event()
        self.stock = Stock(self.library, settings, engines, GateLimits(), self.changed.set)

    def close(self) -> None:
        self.stock.close()
        self.library.close()

    def wait(self, condition: Callable[[], object], seconds: float = 250.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self.changed.clear()
            assert time.monotonic() < deadline, f"never happened; {self.stock.view()}"
            self.changed.wait(0.1)

    def fresh(self) -> dict[str, int]:
        return {state: level.fresh for state, level in self.stock.levels().items()}


OpenSite = Callable[..., Site]


@pytest.fixture
def open_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSite]:
    install(tmp_path, monkeypatch)
    sites = []

    def opened(first: str = "work", second: str | None = None, library: LibrarySettings | None = None, once: str = "", **settings: object) -> Site:
        engines = [EngineChoice("first", {"behaviour": first, "once": once})]
        if second:
            engines.append(EngineChoice("second", {"behaviour": second}))
        sites.append(Site(tmp_path / "data", SETTINGS.model_copy(update=settings), engines, library or LibrarySettings()))
        return sites[-1]

    yield opened
    for site in sites:
        site.close()


def needs(**texts: str) -> list[StateNeed]:
    return [StateNeed(state, Prompt(text)) for state, text in texts.items()]


def test_fills_every_state_what_plays_first(open_site: OpenSite) -> None:
    site = open_site()
    site.stock.set_states([*needs(alert="tense", day="calm"), StateNeed("no_data", Prompt(), silent=True)])
    site.stock.set_current("day")
    site.stock.start()
    site.wait(lambda: site.fresh() == {"alert": 2, "day": 2})
    tracks = site.library.tracks(None, 10)[::-1]
    assert [(track.state, track.seconds) for track in tracks[:2]] == [("day", 10.0), ("alert", 10.0)]
    assert sorted((track.state, track.seconds) for track in tracks[2:]) == [("alert", 12.0), ("day", 12.0)]
    assert len({track.seed for track in tracks}) == 4
    assert site.stock.levels() == {"alert": Level(2, 2), "day": Level(2, 2)}
    assert [(each.track.state, each.fresh) for each in site.stock.candidates("day")] == [("day", True)] * 2
    site.wait(lambda: not site.stock.view().running)
    assert site.stock.view().problem == ""


def test_what_was_played_is_replaced_and_a_restart_keeps_the_stock(open_site: OpenSite) -> None:
    site = open_site(fresh_plays=1)
    site.stock.set_states(needs(day="calm"))
    site.stock.start()
    site.wait(lambda: site.fresh() == {"day": 2})
    before = site.library.tracks(None, 10)
    site.close()

    again = open_site(fresh_plays=1)
    again.stock.set_states(needs(day="calm"))
    assert again.fresh() == {"day": 2}
    again.library.record_cue(Cue(1, time.time(), "play", "day", {"en": ""}, before[0]))
    assert again.fresh() == {"day": 1}
    again.stock.start()
    again.wait(lambda: again.fresh() == {"day": 2})
    assert len(again.library.tracks(None, 10)) == 3
    assert len({track.seed for track in again.library.tracks(None, 10)}) == 3


def test_another_prompt_makes_old_tracks_a_last_resort(open_site: OpenSite) -> None:
    site = open_site(per_state=1)
    site.stock.set_states(needs(day="calm"))
    site.stock.start()
    site.wait(lambda: site.fresh() == {"day": 1})
    site.stock.set_states(needs(day="lively"))
    assert [each.fresh for each in site.stock.candidates("day")] == [False]
    site.wait(lambda: site.fresh() == {"day": 1})
    assert sorted((each.track.text, each.fresh) for each in site.stock.candidates("day")) == [("calm", False), ("lively", True)]


@pytest.mark.parametrize("second", [None, "work"])
def test_a_prompt_that_nobody_can_play_holds_up_no_other_state(open_site: OpenSite, second: str | None) -> None:
    site = open_site(second=second)
    site.stock.set_states(needs(night="calm", odd="impossible", day="calm"))
    site.stock.set_current("odd")
    site.stock.start()
    site.wait(lambda: site.fresh() == {"night": 2, "odd": 0, "day": 2})
    assert "state odd: no engine can play its prompt (nobody can play this); change its prompt" in site.stock.view().problem


def test_the_hash_follows_what_the_state_asks_for() -> None:
    need = StateNeed("day", Prompt("calm"))
    assert prompt_hash(need) == prompt_hash(replace(need, prompt=Prompt("calm", seconds=99, seed=5)))
    others = [replace(need, name="night"), replace(need, prompt=Prompt("lively")), replace(need, prompt=Prompt("calm", attributes=Attributes(energy=0.5)))]
    others.append(replace(need, seconds=30))
    assert len({prompt_hash(other) for other in [need, *others]}) == 5


def test_a_state_may_say_how_long_its_tracks_are(open_site: OpenSite) -> None:
    site = open_site(first_seconds=20)
    site.stock.set_states([replace(need, seconds=seconds) for need, seconds in zip(needs(short="brief", long="calm"), (10, 25), strict=True)])
    site.stock.start()
    site.wait(lambda: site.fresh() == {"short": 2, "long": 2})
    assert [sorted(track.seconds for track in site.library.tracks(state, 10)) for state in ("short", "long")] == [[10, 10], [20, 25]]


def test_a_refresh_replaces_the_oldest(open_site: OpenSite) -> None:
    site = open_site()
    site.stock.set_states(needs(day="calm"))
    site.stock.start()
    site.wait(lambda: site.fresh() == {"day": 2})
    oldest = site.library.tracks(None, 10)[-1]
    site.stock.refresh()
    site.wait(lambda: len(site.library.tracks(None, 10)) == 3)
    assert {each.track.id for each in site.stock.candidates("day") if not each.fresh} == {oldest.id}


def test_tracks_that_fail_the_gate_are_shown_and_tried_again_a_few_times(open_site: OpenSite) -> None:
    site = open_site("silence", per_state=1)
    site.stock.set_states(needs(day="calm"))
    site.stock.start()
    site.wait(lambda: "2 tracks in a row failed the gate" in site.stock.view().problem)
    failures = site.library.failures(10)
    assert len(failures) == len({failure.seed for failure in failures}) == 2
    assert failures[0].reasons
    assert site.stock.view().failures[0].startswith("day (seed 2, first): ")
    assert site.library.tracks(None, 10) == []
    site.stock.set_states(needs(day="another prompt"))  # gets its own attempts
    site.wait(lambda: len(site.library.failures(10)) == 4)


def test_a_state_with_limits_of_its_own_gets_no_track_beyond_them(open_site: OpenSite) -> None:
    """As states close to an alarm have, in which the band of alarms and speech is capped."""
    site = open_site(per_state=1)
    site.stock.set_states([StateNeed("alert", Prompt("tense"), limits=GateLimits(speech_band_share_max=0.001)), *needs(day="calm")])
    site.stock.start()
    site.wait(lambda: site.fresh()["day"] == 1 and site.library.failures(10))
    assert {failure.state for failure in site.library.failures(10)} == {"alert"}
    assert "speech" in site.library.failures(10)[0].reasons[0]
    assert site.fresh()["alert"] == 0


@pytest.mark.parametrize("behaviour", ["raise", "missing", "die"])
def test_when_an_engine_fails_the_next_fills_the_stock(open_site: OpenSite, behaviour: str) -> None:
    site = open_site(behaviour, "work", per_state=1)
    site.stock.set_states(needs(day="calm"))
    site.stock.start()
    site.wait(lambda: site.fresh() == {"day": 1})
    assert site.library.tracks(None, 1)[0].engine == "second"
    view = site.stock.view()
    assert view.engine == "second"
    assert view.problem.startswith("engine first failed: ")


def test_an_engine_that_failed_once_is_preferred_again_later(open_site: OpenSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridtone.stock.engines.FIRST_REST_SECONDS", 0.5)
    site = open_site("raise", "work", once=str(tmp_path / "failed"))
    site.stock.set_states(needs(day="calm", alert="tense", night="still"))
    site.stock.start()
    site.wait(lambda: "first" in {track.engine for track in site.library.tracks(None, 10)})
    site.wait(lambda: site.stock.view().problem == "")


def test_a_crash_that_was_chance_costs_no_engine(open_site: OpenSite, tmp_path: Path) -> None:
    site = open_site("die", once=str(tmp_path / "died"), per_state=1)
    site.stock.set_states(needs(day="calm"))
    site.stock.start()
    site.wait(lambda: site.fresh() == {"day": 1})
    assert site.stock.view().problem == ""


def test_a_sampler_killed_mid_job_is_started_anew(open_site: OpenSite) -> None:
    site = open_site(per_state=4)
    site.stock.set_states(needs(day="calm"))
    site.stock.start()
    site.wait(lambda: site.stock.view().running and site.stock._sampler.process_id)
    os.kill(site.stock._sampler.process_id, 9)
    site.wait(lambda: site.fresh() == {"day": 4})


def test_other_work_gives_way_when_the_grid_enters_a_state_without_music(open_site: OpenSite, tmp_path: Path) -> None:
    site = open_site("dawdle", once=str(tmp_path / "dawdled"))
    (tmp_path / "dawdled").unlink(missing_ok=True)
    site.stock.set_states(needs(day="calm", alert="tense"))
    site.stock.set_current("day")
    site.stock.start()
    site.wait(lambda: site.stock.view().fraction == 0 and "track 1 of 1" in site.stock.view().job)
    assert site.stock.view().job == "day: track 1 of 1"
    site.stock.set_current("alert")
    site.wait(lambda: site.stock.view().job.startswith("alert"))


def test_without_room_nothing_is_made_and_the_reason_is_shown(open_site: OpenSite) -> None:
    site = open_site(library=LibrarySettings(min_free_mib=1e9))
    site.stock.set_states(needs(day="calm"))
    site.stock.start()
    site.wait(lambda: "library.min_free_mib" in site.stock.view().problem)
    time.sleep(0.5)
    assert not site.stock.view().running
    assert site.library.reserve("seed", 1) == 1  # not one track was asked for


def test_a_disk_that_fills_up_stops_the_sampling_and_nothing_else(open_site: OpenSite, tiny_disk: Path) -> None:
    store = tiny_disk / "audio"
    site = open_site(library=LibrarySettings(store=str(store), min_free_mib=0), per_state=9)
    site.stock.set_states(needs(day="calm"))
    site.stock.start()
    site.wait(lambda: "No space left on device" in site.stock.view().problem)
    tracks = site.library.tracks(None, 10)
    assert 1 <= len(tracks) < 9
    for track in tracks:
        file, _ = site.library.open_audio(track.id, "flac")
        with file:
            assert hashlib.sha256(file.read()).hexdigest() == track.id
    assert {path.name for path in store.glob("??/*")} == {f"{track.id}.{codec}" for track in tracks for codec in ("flac", "opus")}


SERVICE = """
import sys, time
from pathlib import Path
from gridtone.gate.limits import GateLimits
from gridtone.library.library import Library
from gridtone.library.settings import LibrarySettings
from gridtone.stock.engines import EngineChoice
from gridtone.stock.settings import StockSettings
from gridtone.stock.stock import StateNeed, Stock
from gridtone_engine import Prompt

library = Library.open(LibrarySettings(), Path(sys.argv[1]))
settings = StockSettings(per_state=1000, track_seconds=10, first_seconds=10)
stock = Stock(library, settings, [EngineChoice("first")], GateLimits(), lambda: print(stock._sampler.process_id, flush=True))
stock.set_states([StateNeed("day", Prompt("calm"))])
stock.start()
time.sleep(600)
"""


@pytest.mark.slow
def test_a_service_killed_while_it_samples_leaves_no_process_and_a_whole_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch)
    data, kept = tmp_path / "data", 0
    for round_ in range(4):
        with subprocess.Popen([sys.executable, "-c", SERVICE, str(data)], stdout=subprocess.PIPE, text=True) as service:
            for _ in range(3 + 2 * round_):
                sampler_id = service.stdout.readline().strip()
            service.kill()
        until(lambda sampler=Path(f"/proc/{sampler_id}"): not sampler.exists())
        with Library.open(LibrarySettings(), data) as library:
            tracks = library.tracks(None, 1000)
            assert len(tracks) >= kept
            kept = len(tracks)
            for track in tracks:
                file, _ = library.open_audio(track.id, "flac")
                with file:
                    assert hashlib.sha256(file.read()).hexdigest() == track.id
            assert {path.name for path in (data / "audio").glob("??/*")} == {f"{track.id}.{codec}" for track in tracks for codec in ("flac", "opus")}
    assert kept > 0


def test_closing_in_the_middle_of_a_job_leaves_no_process_and_no_half_track(open_site: OpenSite) -> None:
    site = open_site("hang")
    site.stock.set_states(needs(day="calm"))
    site.stock.start()
    site.wait(lambda: "track 1" in site.stock.view().job)
    process_id = site.stock._sampler.process_id
    site.stock.close()
    assert not Path(f"/proc/{process_id}").exists()
    assert site.library.tracks(None, 10) == []


def test_the_composer_fills_the_stock(tmp_path: Path) -> None:
    """Everything real: composer, gate, process, files. What lies in the store is measured from outside."""
    with Library.open(LibrarySettings(), tmp_path) as library:
        settings = SETTINGS.model_copy(update={"per_state": 1, "first_seconds": 20})
        stock = Stock(library, settings, [EngineChoice("composer")], GateLimits(), lambda: None)
        stock.set_states(needs(day="专注、沉稳、有节奏", alert="tense strings, 84 bpm, no drums"))
        stock.set_current("day")
        stock.start()
        until(lambda: all(level.fresh for level in stock.levels().values()), 250, stock.view)
        stock.close()
        assert stock.view().problem == ""
        [alert], [day] = library.tracks("alert", 5), library.tracks("day", 5)
        assert (day.text, day.engine, alert.tempo_bpm) == ("专注、沉稳、有节奏", "composer", pytest.approx(84, rel=0.05))
        assert alert.licence
        for track in (alert, day):
            assert track.seconds == pytest.approx(20, abs=4)
            for codec in ("flac", "opus"):
                file, _ = library.open_audio(track.id, codec)
                with file:
                    samples, rate = soundfile.read(file, always_2d=True)
                assert len(samples) / rate == pytest.approx(track.seconds, abs=0.01)
                assert pyloudnorm.Meter(rate).integrated_loudness(samples) == pytest.approx(-23, abs=0.6)


def test_every_setting_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "library-and-stock.md").read_text()
    for name in StockSettings.model_fields:
        assert f"`stock.{name}`" in manual
