"""A restart forgets nothing that keeps the room silent: `gridtone serve` is stopped or killed, at a real broker, and started anew."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from paho.mqtt.enums import MQTTErrorCode
from test_room import ALARMS, NOW, Desk

from gridtone.config import Site
from gridtone.demo.broker import RunningBroker, start_broker
from gridtone.room.policy import CAUSES, KeptRoom
from room_site import LASTING_RULES, Publisher, fill_library, site_of
from waiting import PATIENCE_SECONDS, free_port, until

DWELL_SECONDS = 0.5
UNHEARD = "has not reported since"


SHELVING = {"sources": [ALARMS["sources"][0] | {"shelved": "alarm/*/shelved"}]}


def restarted(before: Desk) -> Desk:
    """A desk that was told what the one before it had kept."""
    kept: list[bytes] = []
    before.room.keep(lambda room: not kept.append(msgspec.json.encode(room)))
    after = Desk(SHELVING)
    after.room.resume(msgspec.json.decode(kept[-1], type=KeptRoom), NOW)
    return after


def test_an_alarm_that_nobody_acknowledged_is_silence_after_a_restart_until_somebody_does():
    desk = Desk().playing()
    desk.at(NOW - 10, T1_active=1, T1_priority=1)
    after = restarted(desk)
    cue = after.at(NOW + 1, T2_active=0)
    assert cue.action == "silence" and "T1 (critical)" in cue.reason["en"] and UNHEARD in cue.reason["en"]
    assert after.board.views(NOW + 1)[0].since == NOW - 10
    assert after.at(NOW + 3600).action == "silence"
    assert UNHEARD not in after.at(NOW + 3601, T1_active=1).reason["en"]
    after.at(NOW + 3602, T1_acknowledged=1)
    assert after.at(NOW + 3633).action == "play"


def test_one_that_cleared_before_anybody_acknowledged_it_waits_after_a_restart_though_telemetry_says_it_is_gone():
    desk = Desk().playing()
    desk.at(NOW - 10, T1_active=1, T1_acknowledged=0)
    desk.at(NOW - 9, T1_active=0)
    after = restarted(desk)
    assert "T1" in after.at(NOW + 1, T1_active=0, T1_acknowledged=0).reason["en"]
    assert [alarm.state for alarm in after.board.views(NOW + 1)] == ["returned"]
    after.at(NOW + 2, T1_acknowledged=1)
    assert after.at(NOW + 33).action == "play"


def test_an_acknowledgement_from_before_a_restart_vouches_for_nothing():
    """While gridtone was down the alarm may have been acknowledged, have cleared, and have come again."""
    desk = Desk(SHELVING).playing()
    desk.at(NOW - 10, T1_active=1)
    desk.at(NOW - 9, T1_acknowledged=1, T2_active=1, T2_shelved=1)
    after = restarted(desk)
    assert "T2" in after.at(NOW + 1, T1_active=1).reason["en"], "it may be shelved no more"
    assert "T1" in after.at(NOW + 2, T2_shelved=1).reason["en"]
    after.at(NOW + 3, T1_acknowledged=1)
    assert after.at(NOW + 34).action == "play"


def test_alarms_of_which_nobody_knew_are_unknown_after_a_restart():
    desk = Desk().playing()
    desk.at(NOW - 10, T1_active=float("nan"))
    after = restarted(desk)
    cue = after.at(NOW + 1, T2_active=0)
    assert cue.action == "silence" and "T1 has no valid state" in cue.reason["en"]
    after.at(NOW + 2, T1_active=0)
    assert after.at(NOW + 33).action == "play"


def test_a_flood_goes_on_over_a_restart():
    desk = Desk().playing()
    for number in range(20):
        desk.at(NOW - 20 + number, **{f"N{number}_active": 0})
        desk.at(NOW - 20 + number, **{f"N{number}_active": 1, f"N{number}_acknowledged": 1})
    after = restarted(desk)
    assert "flood" in after.at(NOW + 1, T2_active=0).reason["en"]
    assert after.at(NOW + 590).action == "silence"
    after.at(NOW + 596)  # the fifth newest is ten minutes old
    assert after.at(NOW + 627).action == "play"


def test_a_key_that_is_held_is_held_over_a_restart_and_no_longer_than_any():
    desk = Desk({}, dwell_seconds=0)
    assert desk.room.speak("radio 1", True, NOW - 10) and desk.room.speak("phone", True, NOW + 10_000)
    kept: list[KeptRoom] = []
    desk.room.keep(lambda room: not kept.append(room))
    after = Desk({})
    after.room.resume(kept[0], NOW)
    assert "radio 1" in after.at(NOW + 1).reason["en"]
    assert "phone" in after.at(NOW + 51).reason["en"]
    assert after.at(NOW + 63).action == "silence"
    assert after.at(NOW + 66).action == "play"


def test_after_a_start_the_music_waits_out_the_dwell_though_every_alarm_is_known_at_once():
    desk = Desk()
    assert desk.at(NOW, T1_active=0).action == "silence"
    assert desk.at(NOW + 29).action == "silence"
    assert desk.at(NOW + 31).action == "play"


def test_it_is_written_when_it_changed_and_again_where_the_database_refused():
    desk = Desk().playing()
    written: list[KeptRoom] = []
    desk.room.keep(lambda room: bool(written.append(room)))
    desk.room.keep(lambda room: not written.append(room))
    desk.room.keep(lambda room: not written.append(room))
    assert len(written) == 2
    desk.at(NOW, T1_active=1)
    desk.room.keep(lambda room: not written.append(room))
    assert [alarm.name for alarm in written[2].alarms.alarms] == ["T1"]


# `gridtone serve`, over a real broker


class Served:
    """`gridtone serve`, from one start to the next."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.url = f"http://127.0.0.1:{site.server.port}"
        self.start()

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "gridtone", "serve", "--config", str(self.folder / "site.yaml")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self.answers, seen=(self.folder / "log").read_text)

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return requests.get(f"{self.url}/healthz", timeout=PATIENCE_SECONDS).ok
        except requests.ConnectionError:
            return False

    def stop(self, how: int) -> None:
        self.process.send_signal(how)
        self.process.wait(PATIENCE_SECONDS)

    def cue(self) -> dict[str, Any]:
        return dict(requests.get(f"{self.url}/api/v1/cue", timeout=PATIENCE_SECONDS).json())

    def until_it_says(self, text: str) -> None:
        until(lambda: text in self.cue()["reason"]["en"], seen=self.cue)
        assert self.cue()["action"] == "silence"

    def until_it_plays(self) -> None:
        until(lambda: self.cue()["action"] == "play", seen=self.cue)

    def metrics(self) -> set[str]:
        return set(requests.get(f"{self.url}/metrics", timeout=PATIENCE_SECONDS).text.splitlines())

    def kept(self) -> list[dict[str, Any]]:
        """The alarms that the database holds for the next start."""
        with closing(sqlite3.connect(f"file:{self.site.data}/gridtone.db?mode=ro", uri=True)) as database:
            row = database.execute("select value from memory where name = 'room'").fetchone()
        return list(json.loads(row[0])["alarms"]["alarms"]) if row else []


def tell(publisher: Publisher, part: str, value: float, retain: bool = False) -> bool:
    """The broker has it when this returns."""

    def published() -> bool:
        info = publisher.publish(f"alarm/{part}", value, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False  # not connected yet
        info.wait_for_publish(PATIENCE_SECONDS)
        return info.is_published()

    return until(published)


def served(folder: Path, broker: RunningBroker) -> Served:
    site = site_of(folder, broker.port, rules=LASTING_RULES, alarms=ALARMS, room={"dwell_seconds": DWELL_SECONDS})
    fill_library(site)
    return Served(site, folder)


@pytest.mark.slow
def test_a_kill_forgets_no_alarm_that_cleared_without_anybody_having_acknowledged_it(tmp_path: Path):
    with start_broker(free_port()) as broker:
        publisher, service = Publisher(broker.port), served(tmp_path, broker)
        try:
            tell(publisher, "T1/active", 0, retain=True)
            service.until_it_plays()
            tell(publisher, "T1/acknowledged", 0, retain=True)
            tell(publisher, "T1/active", 1, retain=True)
            service.until_it_says("T1")
            muted = {'gridtone_muted{cause="alarm"} 1.0', 'gridtone_muted{cause="unknown"} 0.0', "gridtone_silent 1.0", "gridtone_alarms_unacknowledged 1.0"}
            until(lambda: muted <= service.metrics(), seen=lambda: sorted(service.metrics()))
            tell(publisher, "T1/active", 0, retain=True)
            until(lambda: [alarm["said"]["active"] for alarm in service.kept()] == [0.0], seen=service.kept)
            service.stop(signal.SIGKILL)
            service.start()
            until(lambda: requests.get(f"{service.url}/api/v1/alarms", timeout=PATIENCE_SECONDS).json()["unacknowledged"] == 1)
            service.until_it_says("T1")
            time.sleep(DWELL_SECONDS + 1.5)
            assert service.cue()["action"] == "silence", "the broker retained that the alarm has cleared, not that somebody saw it"
            tell(publisher, "T1/acknowledged", 1, retain=True)
            service.until_it_plays()
            until(lambda: not service.kept(), seen=service.kept)
            unmuted = {f'gridtone_muted{{cause="{cause}"}} 0.0' for cause in CAUSES} | {"gridtone_silent 0.0", "gridtone_alarms_unacknowledged 0.0"}
            until(lambda: unmuted <= service.metrics(), seen=lambda: sorted(service.metrics()))
        finally:
            service.stop(signal.SIGKILL)
            publisher.close()


@pytest.mark.slow
def test_a_stop_forgets_no_alarm_that_the_broker_does_not_retain_until_somebody_says_so(tmp_path: Path):
    with start_broker(free_port()) as broker:
        publisher, service = Publisher(broker.port), served(tmp_path, broker)

        def hear_another() -> None:
            """What is published before gridtone has subscribed is lost, so once may not do."""
            until(lambda: tell(publisher, "T2/active", 0) and "none of the alarms" not in service.cue()["reason"]["en"], seen=service.cue)

        try:
            hear_another()
            service.until_it_plays()
            tell(publisher, "T1/active", 1)
            service.until_it_says("T1")
            service.stop(signal.SIGTERM)
            service.start()
            hear_another()
            service.until_it_says(UNHEARD)
            time.sleep(DWELL_SECONDS + 1.5)
            assert service.cue()["action"] == "silence"

            service.stop(signal.SIGTERM)
            command = [sys.executable, "-m", "gridtone", "room", "forget-alarms", "--config", str(tmp_path / "site.yaml")]
            run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
            assert run.stdout == "alarms: T1\n" and run.returncode == 0, run.stderr
            service.start()
            hear_another()
            service.until_it_plays()
            entries = requests.get(f"{service.url}/api/v1/audit", timeout=PATIENCE_SECONDS).json()["entries"]
            [entry] = [entry for entry in entries if entry["action"] == "alarms_forgotten"]
            assert json.loads(entry["detail"]) == {"count": 1, "first": ["alarms: T1"]} and "at the command line" in entry["person"]
        finally:
            service.stop(signal.SIGKILL)
            publisher.close()
