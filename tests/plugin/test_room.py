"""The room's policy: silent for alarms, floods, unknown alarms and speech, turned down at night and at desks; and all of it at a listener of the service."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests

from gridtone.alarms import AlarmBoard, AlarmSettings
from gridtone.conductor import Candidate, Conductor, ConductorSettings
from gridtone.config import load_site
from gridtone.cue import Cue, at_desk
from gridtone.demo.broker import start_broker
from gridtone.documents import DocumentError
from gridtone.gate.limits import GateLimits
from gridtone.library.track import Track
from gridtone.proving.check import check_file
from gridtone.proving.room_doubts import masking_doubts
from gridtone.room.masking import lenders, limits_of
from gridtone.room.policy import Room
from gridtone.room.settings import RoomSettings
from gridtone.rules import load_pack, pack_names
from gridtone.rules.standing import NO_DATA, Standing
from gridtone_adapters import Reading
from room_site import LASTING_RULES, RULES, STALE_SECONDS, FaultySite, Listener, Publisher, fill_library, serving, site_of
from waiting import PATIENCE_SECONDS, free_port, until

NOW = 1_000_000.0
ALARMS = {"sources": [{"active": "alarm/*/active", "acknowledged": "alarm/*/acknowledged", "priority_of": "alarm/*/priority"}]}
DAY = Standing("day", {"en": "Day"}, "normal", 0.0, "", {"en": "all is within limits"}, False)
UNSEEN = Standing(NO_DATA, {"en": "No data"}, "unknown", 0.0, "", {"en": "no data yet"}, True)


def track(state: str) -> Track:
    return Track(state, state, "calm", 600.0, 48000, 60.0, "C major", 0.3, 4.0, 0.0, -23.0, -6.0, "composer", "composer 1", 1, "CC0-1.0", 0.0)


class Desk:
    """A room with a conductor, at times that the test says."""

    def __init__(self, alarms: dict[str, Any] | None = None, **settings: Any) -> None:
        self.settings = RoomSettings.model_validate({"dwell_seconds": 30} | settings)
        self.board = AlarmBoard(AlarmSettings.model_validate(ALARMS if alarms is None else alarms))
        self.room = Room(self.settings, self.board)
        shelf = {state: [Candidate(track(state), True)] for state in ("day", "emergency")}
        self.conductor = Conductor(ConductorSettings(), lambda state: shelf.get(state, []), lambda _: list(shelf), Cue(0, 0.0, "silence", NO_DATA, {"en": "x"}))

    def at(self, now: float, standing: Standing = DAY, **values: float) -> Cue:
        """What listeners do at that time, after what alarms told."""
        readings = [Reading("alarm/" + "/".join(name.rsplit("_", 1)), float(value), now) for name, value in values.items()]
        self.board.take("scada", readings, now)
        self.board.tick(now)
        self.conductor.follow(standing, now, self.room.order(now))
        return self.conductor.cue

    def playing(self) -> "Desk":
        """Everything is known and well, and the music plays."""
        self.at(NOW - 100, T1_active=0, T2_active=0)
        assert self.at(NOW - 60).action == "play"
        return self


def test_an_unacknowledged_alarm_is_silence_at_once_and_acknowledgement_and_dwell_bring_the_music_back():
    desk = Desk().playing()
    cue = desk.at(NOW, T1_active=1)
    assert (cue.action, cue.time) == ("silence", NOW) and cue.crossfade_seconds <= 0.5
    assert "T1" in cue.reason["en"] and "acknowledged" in cue.reason["en"] and "T1" in cue.reason["zh"]
    assert desk.at(NOW + 3600).action == "silence"
    cue = desk.at(NOW + 3601, T1_acknowledged=1)
    assert cue.action == "silence" and "about to return" in cue.reason["en"]
    assert desk.room.view(NOW + 3602).room.returns_at == NOW + 3631
    assert desk.at(NOW + 3630).action == "silence"
    cue = desk.at(NOW + 3631)
    assert cue.action == "play" and cue.crossfade_seconds == 5.0, "fading in"


def test_no_state_of_the_grid_plays_over_an_alarm():
    desk = Desk().playing()
    desk.at(NOW, T1_active=1)
    emergency = Standing("emergency", {"en": "Emergency"}, "emergency", 0.0, "", {"en": "overload"}, False)
    assert desk.at(NOW + 1, emergency).action == "silence"
    assert desk.at(NOW + 2, UNSEEN).action == "silence" and "T1" in desk.at(NOW + 2, UNSEEN).reason["en"]


def test_an_alarm_that_clears_without_acknowledgement_keeps_the_room_silent():
    desk = Desk().playing()
    desk.at(NOW, T1_active=1)
    desk.at(NOW + 1, T1_active=0)
    assert desk.at(NOW + 3600).action == "silence"
    desk.at(NOW + 3601, T1_acknowledged=1)
    assert desk.at(NOW + 3632).action == "play"


def test_a_new_alarm_within_the_dwell_begins_it_anew():
    desk = Desk().playing()
    desk.at(NOW, T1_active=1, T1_acknowledged=0)
    desk.at(NOW + 10, T1_acknowledged=1)
    desk.at(NOW + 30, T2_active=1)
    desk.at(NOW + 35, T2_acknowledged=1)
    assert desk.at(NOW + 64).action == "silence"
    assert desk.at(NOW + 66).action == "play"


def test_alarms_below_the_set_priority_leave_the_music_alone():
    desk = Desk(mute_priority="high").playing()
    assert desk.at(NOW, T1_active=1, T1_priority=3).action == "play"
    assert desk.at(NOW + 1, T1_priority=1).action == "silence"


def test_many_alarms_are_one_order_to_listeners_and_a_graver_one_another():
    desk = Desk().playing()
    first = desk.at(NOW, T1_active=1, T1_priority=3)
    for number in range(100):
        assert desk.at(NOW + 1, **{f"N{number}_active": 1, f"N{number}_priority": 3}) is first, "the reason stays, and so does the cue"
    graver = desk.at(NOW + 2, T2_active=1, T2_priority=1)
    assert graver.id == first.id + 1 and "T2" in graver.reason["en"]


def test_a_flood_is_silence_though_everything_is_acknowledged():
    desk = Desk().playing()
    for number in range(11):
        desk.at(NOW + number, **{f"N{number}_active": 0})
        cue = desk.at(NOW + number, **{f"N{number}_active": 1, f"N{number}_acknowledged": 1})
    assert cue.action == "silence" and "flood" in cue.reason["en"]
    assert desk.at(NOW + 605).action == "silence"
    desk.at(NOW + 611)
    assert desk.at(NOW + 640).action == "silence"
    assert desk.at(NOW + 642).action == "play"


def test_alarms_of_which_nobody_knows_are_silence_until_they_are_known():
    desk = Desk()
    cue = desk.at(NOW)
    assert cue.action == "silence" and "nobody can tell how the alarms stand" in cue.reason["en"]
    desk.at(NOW + 1, T1_active=0)
    assert desk.at(NOW + 32).action == "play"
    desk.board.lose(["scada"])
    cue = desk.at(NOW + 33)
    assert cue.action == "silence" and "has lost its source" in cue.reason["en"]
    desk.board.lose([])
    desk.at(NOW + 34)
    assert desk.at(NOW + 65).action == "play"


def test_without_alarms_configured_the_music_plays():
    assert Desk({}).at(NOW).action == "play"
    assert not Desk({}).room.view(NOW).configured


def test_a_key_held_is_silence_and_its_release_brings_the_music_back():
    desk = Desk({})
    assert desk.at(NOW).action == "play"
    assert desk.room.speak("radio 1", True, NOW + 1)
    cue = desk.at(NOW + 1)
    assert cue.action == "silence" and "radio 1" in cue.reason["en"] and cue.crossfade_seconds <= 0.5
    desk.room.speak("phone", True, NOW + 5)
    desk.room.speak("radio 1", False, NOW + 6)
    assert desk.at(NOW + 7).action == "silence"
    desk.room.speak("phone", False, NOW + 8)
    assert desk.at(NOW + 8.1).action == "silence"
    assert desk.at(NOW + 10.2).action == "play"


def test_a_key_that_nobody_releases_is_released_after_a_time():
    desk = Desk({}, speech={"longest_seconds": 20, "return_seconds": 0})
    desk.room.speak("radio", True, NOW)
    desk.room.speak("radio", True, NOW + 15)
    assert desk.at(NOW + 34).action == "silence"
    assert desk.at(NOW + 35.1).action == "play"


def test_a_clock_that_is_set_back_neither_ends_a_silence_early_nor_makes_it_longer():
    back = 7200.0
    desk = Desk()
    desk.at(NOW, T1_active=1)
    desk.at(NOW + 1, T1_acknowledged=1)
    desk.room.set_back(back)
    assert desk.at(NOW + 30.9 - back).action == "silence"
    assert desk.at(NOW + 31.1 - back).action == "play"
    desk.room.speak("radio 1", True, NOW + 40 - back)
    assert desk.at(NOW + 40 - back).action == "silence"
    desk.room.set_back(back)
    longest = desk.settings.speech.longest_seconds
    assert desk.at(NOW + 39 + longest - 2 * back).action == "silence"
    desk.at(NOW + 41 + longest - 2 * back)
    assert desk.at(NOW + 42 + longest + desk.settings.speech.return_seconds - 2 * back).action == "play"


def test_a_source_of_alarms_that_dies_as_the_clock_is_set_back_is_not_taken_for_alive():
    desk = Desk({"sources": [{**ALARMS["sources"][0], "heartbeat": "alarm/alive", "stale_after": "60s"}]})
    desk.board.take("scada", [Reading("alarm/alive", 1, NOW)], NOW)
    desk.at(NOW, T1_active=0)
    assert desk.at(NOW + 40).action == "play"
    desk.room.set_back(7200)
    assert desk.at(NOW + 59 - 7200).action == "play"
    assert desk.at(NOW + 61 - 7200).action == "silence"


def test_only_so_many_keys_are_held():
    desk = Desk({})
    assert [desk.room.speak(f"radio {number}", True, NOW) for number in range(101)] == [True] * 100 + [False]


def vienna(clock: str) -> float:
    return datetime.strptime(f"2026-06-15 {clock}", "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo("Europe/Vienna")).timestamp()


def test_at_night_the_music_that_plays_is_turned_down_and_goes_on():
    desk = Desk({}, night={"from": "22:00", "to": "06:00", "duck_db": -12}, time_zone="Europe/Vienna")
    evening = desk.at(vienna("21:59"))
    assert evening.action == "play" and evening.duck_db == 0
    night = desk.at(vienna("22:00"))
    assert night.duck_db == -12 and night.id == evening.id + 1 and (night.track, night.time) == (evening.track, evening.time), "the same track goes on"
    assert desk.at(vienna("22:01")) is night
    assert desk.settings.night_duck_db(vienna("05:59")) == -12
    assert desk.settings.night_duck_db(vienna("06:00")) == 0


def test_a_desk_hears_no_more_than_its_limit():
    cue = Cue(1, NOW, "play", "day", {"en": ""}, track("day"), duck_db=-10.0)
    desks = {"lead": -6.0, "back row": -18.0}
    assert at_desk(cue, "lead", desks) is cue, "the night is lower already"
    assert at_desk(cue, "back row", desks).duck_db == -18
    assert at_desk(cue, None, desks).duck_db == -18, "who does not say where it sits"
    assert at_desk(cue, None, {}) is cue


def test_states_close_to_an_alarm_leave_room_for_it():
    room, gate = RoomSettings(), GateLimits()
    assert limits_of("normal", room, gate) is None
    limits = limits_of("emergency", room, gate)
    assert limits and limits.speech_band_share_max == 0.7 and limits.loudness_lufs == gate.loudness_lufs
    assert limits_of("emergency", room, GateLimits(speech_band_share_max=0.5)) is None, "the site's own is lower"
    rules = load_pack("transmission")
    assert set(lenders("day", rules, room)) == set(rules.states)
    assert set(lenders("alert", rules, room)) == {"alert", "emergency", "in_extremis"}
    assert "alert" not in lenders("emergency", rules, room)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('night: {from: "25:00", to: "6:00"}', '`25:00` is not a time of day; write such as "22:00"'),
        ("night: {to: 06:00}", "lacks `from`"),
        ("time_zone: Europe/Wien", "`Europe/Wien` is not a time zone that this machine knows"),
        ("desks: {lead: 3}", "less than or equal to 0"),
        ("speech: {token: hunter2}", "a secret is never written here"),
        ("mute_priority: urgent", "`urgent` is not one of"),
        ("speech_band_share_max: {alarm: 0.5}", "`alarm` is not right"),
        ("nigth: {}", "did you mean `night`?"),
    ],
)
def test_mistakes_are_said(tmp_path: Path, settings: str, said: str):
    (tmp_path / "site.yaml").write_text(f"room:\n  {settings}\n")
    with pytest.raises(DocumentError) as error:
        load_site(tmp_path / "site.yaml", {})
    assert said in str(error.value) and "hunter2" not in str(error.value)


def checked(folder: Path, site: str, rules: str = "") -> list[str]:
    """The warnings of `gridtone check`, without their places."""
    (folder / "site.yaml").write_text(site)
    (folder / "rules.yaml").write_text(rules)
    return [str(problem.message) + str(problem.line) for problem in check_file(folder / "site.yaml").warnings]


def test_check_warns_of_moods_that_leave_no_room_for_alarms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    rules = """\
gridtone: 1
signals: {load: {of: load}}
states:
  high:
    severity: alert
    when: load > 80
    prompt: {text: calm pads, brightness: 0.6}
  day: {prompt: {text: calm pads, brightness: 0.6}}
fallback: day
"""
    [warning] = checked(tmp_path, "rules: rules.yaml", rules)
    assert "`high` is alert, but at brightness 0.6 most tracks have more than 75% of their energy in 200 to 5000 Hz" in warning and warning.endswith("7")
    assert checked(tmp_path, "rules: rules.yaml\nroom: {speech_band_share_max: {}}", rules) == []
    for pack in pack_names():
        assert list(masking_doubts(RoomSettings(), load_pack(pack))) == [], f"the pack {pack} keeps them"


def test_check_warns_of_alarms_that_nobody_delivers_or_vouches_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    rules = "gridtone: 1\nstates: {day: {prompt: calm}}\nfallback: day\n"
    site = """\
rules: rules.yaml
adapters:
  - {kind: mqtt, host: broker.example, topics: [{topic: "alarm/{id}", point: "alarm/{id}", values: {active: active}}]}
alarms:
  sources:
    - active: alarm/*/active
      acknowledged: alarm/*/ack
"""
    undelivered, unvouched = checked(tmp_path, site, rules)
    assert "no adapter delivers `alarm/*/ack` of the alarms `alarms`, so it never counts" in undelivered and undelivered.endswith("7")
    assert "nothing vouches for the alarms `alarms`" in unvouched
    [warning] = checked(tmp_path, site.replace("      acknowledged: alarm/*/ack\n", "      heartbeat: scada/beat\n      stale_after: 30s\n"), rules)
    assert "no adapter delivers `scada/beat` of the alarms `alarms`, so they stay unknown, and the music silent" in warning


def test_a_view_tells_what_keeps_the_room_silent_and_news_come_when_something_changed():
    desk = Desk().playing()
    assert desk.room.news(NOW) and desk.room.news(NOW + 2) is None
    desk.at(NOW + 3, T1_active=1, T1_priority=1)
    news = desk.room.news(NOW + 3)
    assert news and news.room.muted and news.room.cause == "alarm" and news.room.returns_at is None
    assert [(alarm.name, alarm.state, alarm.priority) for alarm in news.alarms] == [("T1", "unacknowledged", "critical")]
    desk.at(NOW + 3.5, T1_acknowledged=1)
    assert desk.room.news(NOW + 3.5) is None, "at most once a second"
    news = desk.room.news(NOW + 4)
    assert news and news.room.cause == "dwell" and news.unacknowledged == 0 and news.total == 1
    assert json.dumps(news.room.reason)


# At a listener of the service, over a real broker


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["publisher stops", "broker killed", "network cut", "adapter raises"])
def test_telemetry_that_stops_is_silence_soon_after_it_is_stale(tmp_path: Path, fault: str):
    site = FaultySite(tmp_path)
    try:
        with site.running() as (service, listener):
            for _ in range(2):
                assert site.stop_telemetry(fault, service, listener) < STALE_SECONDS + 60, "bench_room.py measures how soon, on a calm machine"
            listener.wait("play", after=listener.cue["id"])
    finally:
        site.close()


@pytest.mark.slow
@pytest.mark.parametrize("on_stale", ["keep", "true", "false"])
def test_no_telemetry_at_all_is_silence_whatever_the_rules_make_of_stale_data(tmp_path: Path, on_stale: str):
    states: dict[str, Any] = {"high": {"when": "load > 40", "on_stale": on_stale, "prompt": "steady"}, "low": {"prompt": "calm"}}
    rules = {**RULES, "states": states, "fallback": "low"}
    with start_broker(free_port()) as broker:
        publisher = Publisher(broker.port)
        site = site_of(tmp_path, broker.port, rules=rules)
        fill_library(site)
        try:
            with serving(site) as (service, _):
                until(lambda: (service.cue().action, service.cue().state) == ("play", "high"), seen=service.cue)
                publisher.paused.set()
                until(lambda: "no signal has a fresh reading" in service.cue().reason["en"], seen=service.cue)
                assert service.cue().action == "silence"
                publisher.paused.clear()
                until(lambda: service.cue().action == "play", seen=service.cue)
        finally:
            publisher.close()


@pytest.mark.slow
def test_an_adapter_that_ends_against_its_contract_is_no_knowledge_of_alarms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    site = FaultySite(tmp_path, alarms=ALARMS, room={"dwell_seconds": 0})
    try:
        with site.running() as (service, listener):
            site.publisher.publish("alarm/T1/active", 0, retain=True)
            listener.wait("play")
            adapter: Any = service._adapters[0]
            with monkeypatch.context() as defect:
                defect.setattr(adapter._intake, "_room", None)
                until(lambda: "has lost its source" in listener.cue["reason"]["en"], seen=lambda: listener.cue)
            assert listener.cue["action"] == "silence"
            [health] = service.adapters()
            assert not health.connected and "restart gridtone" in health.problem
    finally:
        site.close()


@pytest.mark.slow
def test_an_adapter_that_had_to_drop_readings_leaves_its_alarms_unknown_for_a_while(tmp_path: Path):
    site = FaultySite(tmp_path, alarms=ALARMS | {"flood_seconds": 1}, room={"dwell_seconds": 0})
    try:
        with site.running() as (service, listener):
            site.publisher.publish("alarm/T1/active", 0, retain=True)
            before = listener.wait("play")[1]["id"]
            adapter: Any = service._adapters[0]
            adapter._intake.dropped += 1  # as it counts what its queue had no room for
            _, silence = until(lambda: next((told for told in listener.heard if "had to drop readings" in told[1]["reason"]["en"]), None))
            assert silence["action"] == "silence" and silence["id"] > before
            listener.wait("play", after=silence["id"])
    finally:
        site.close()


@pytest.mark.slow
def test_an_alarm_at_the_broker_silences_every_listener_until_it_is_acknowledged(tmp_path: Path):
    with start_broker(free_port()) as broker:
        publisher = Publisher(broker.port)
        site = site_of(tmp_path, broker.port, rules=LASTING_RULES, alarms=ALARMS, room={"dwell_seconds": 1, "desks": {"lead": -3, "back row": -9}})
        fill_library(site)
        try:
            with serving(site) as (service, url):
                assert {state.name: state.fresh for state in service.states()} == {"high": 1, "low": 1}, "what is in stock was made under the room's limits"
                listeners = [Listener(url, query) for query in ("?desk=lead", "?desk=back%20row", "")]
                assert requests.get(f"{url}/api/v1/events?desk=attic", timeout=PATIENCE_SECONDS).status_code == 404
                until(lambda: "none of the alarms" in service.cue().reason["en"], seen=service.cue)
                assert all(listener.cue["action"] != "play" for listener in listeners), "nobody knows yet how the alarms stand"
                publisher.publish("alarm/T1/active", 0, retain=True)
                assert [listener.wait("play")[1]["duck_db"] for listener in listeners] == [-3, -9, -9]

                before = listeners[0].cue["id"]
                publisher.publish("alarm/T1/active", 1, retain=True)
                for listener in listeners:
                    _, cue = listener.wait("silence", after=before)
                    assert "T1" in cue["reason"]["en"]
                told = requests.get(f"{url}/api/v1/alarms", timeout=PATIENCE_SECONDS).json()
                assert told["room"]["cause"] == "alarm" and told["alarms"][0]["state"] == "unacknowledged"
                explained = subprocess.run(
                    [sys.executable, "-m", "gridtone", "explain", "--url", url], capture_output=True, text=True, timeout=PATIENCE_SECONDS
                )
                assert "Silent for an alarm that nobody has acknowledged: T1" in explained.stdout, explained.stderr
                for listener in listeners:
                    listener.close()

            with serving(site) as (_, url):
                listener = Listener(url)
                until(lambda: "T1" in listener.cue["reason"]["en"], seen=lambda: listener.cue)
                assert listener.cue["action"] == "silence", "a restart forgets no alarm that the broker retained"
                publisher.publish("alarm/T1/acknowledged", 1, retain=True)
                _, cue = listener.wait("play")
                assert cue["crossfade_seconds"] == 5.0
                listener.close()
        finally:
            publisher.close()


@pytest.mark.slow
def test_push_to_mute_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPEECH_TOKEN", "speech-token-that-nobody-guesses")
    monkeypatch.setenv("LISTENER_TOKEN", "listener-token-that-nobody-guesses")
    with start_broker(free_port()) as broker:
        publisher = Publisher(broker.port)
        site = site_of(
            tmp_path,
            broker.port,
            rules=LASTING_RULES,
            room={"speech": {"token": {"env": "SPEECH_TOKEN"}, "return_seconds": 0}},
            server={"port": free_port(), "max_listeners": 10, "token_env": "LISTENER_TOKEN"},
        )
        fill_library(site)
        try:
            with serving(site) as (service, url):

                def press(token: str, body: object) -> int:
                    headers = {"Authorization": f"Bearer {token}"} if token else {}
                    return requests.post(f"{url}/api/v1/speech", json=body, headers=headers, timeout=PATIENCE_SECONDS).status_code

                until(lambda: service.cue().action == "play", seen=service.cue)
                for token in ("", "wrong", "listener-token-that-nobody-guesses"):
                    assert press(token, {"pressed": True}) in (401, 403)
                for body in ({}, {"pressed": 1}, {"pressed": True, "name": ""}, {"pressed": True, "name": "x" * 65}, {"pressed": True, "more": 1}, [], "x"):
                    assert press("speech-token-that-nobody-guesses", body) == 400
                assert service.cue().action == "play"
                assert press("speech-token-that-nobody-guesses", {"pressed": True, "name": "radio 1"}) == 204
                assert service.cue().action == "silence" and "radio 1" in service.cue().reason["en"], "before the key's own answer"
                assert requests.get(f"{url}/api/v1/cue", headers={"Authorization": "Bearer speech-token-that-nobody-guesses"}, timeout=9).status_code == 401
                assert press("speech-token-that-nobody-guesses", {"pressed": False, "name": "radio 1"}) == 204
                until(lambda: service.cue().action == "play", seen=service.cue)
        finally:
            publisher.close()
