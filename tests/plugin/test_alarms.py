"""Alarms as telemetry brings them: their states, floods, chattering, and what nobody can tell."""

import json
import math
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from gridtone.alarms import AlarmBoard, AlarmSettings
from gridtone.config import Site, load_site
from gridtone.documents import Document, DocumentError
from gridtone_adapters import MqttTopic, Quality, Reading, Secret, open_adapter
from gridtone_adapters.payloads import TopicReader
from waiting import PATIENCE_SECONDS, free_port, until

NOW = 1_000_000.0
PARTS = {"active": "alarm/*/active", "acknowledged": "alarm/*/acknowledged", "shelved": "alarm/*/shelved", "priority_of": "alarm/*/priority"}


def board(**changes: Any) -> AlarmBoard:
    """Alarms of several points each."""
    return AlarmBoard(AlarmSettings.model_validate({"sources": [PARTS | changes]}))


def told(alarms: AlarmBoard, now: float, at: float | None = None, quality: Quality = Quality.GOOD, adapter: str = "scada", **values: float) -> None:
    """Take readings: `T1_active=1` is one of `alarm/T1/active`."""
    readings = [Reading("alarm/" + "/".join(name.rsplit("_", 1)), float(value), now if at is None else at, "", quality) for name, value in values.items()]
    alarms.take(adapter, readings, now)


def states(alarms: AlarmBoard, now: float = NOW) -> dict[str, str]:
    return {alarm.name: alarm.state for alarm in alarms.views(now)}


def test_an_alarm_lives_through_its_states():
    alarms = board()
    told(alarms, NOW, T1_active=0)
    assert states(alarms) == {}
    told(alarms, NOW + 1, T1_active=1)
    assert states(alarms) == {"T1": "unacknowledged"}
    told(alarms, NOW + 2, T1_acknowledged=1)
    assert states(alarms) == {"T1": "acknowledged"}
    told(alarms, NOW + 3, T1_active=0, T1_acknowledged=0)
    assert states(alarms) == {}
    told(alarms, NOW + 4, T1_active=1, T1_shelved=1)
    assert states(alarms) == {"T1": "shelved"}
    assert alarms.most_urgent("low") is None
    told(alarms, NOW + 5, T1_shelved=0)
    assert states(alarms) == {"T1": "unacknowledged"}


def test_an_alarm_that_clears_by_itself_still_waits_for_somebody():
    alarms = board()
    told(alarms, NOW, T1_active=1, T1_acknowledged=0)
    told(alarms, NOW + 1, T1_active=0)
    assert states(alarms) == {"T1": "returned"} and alarms.most_urgent("low")
    told(alarms, NOW + 2, T1_acknowledged=1)
    assert states(alarms) == {}
    told(alarms, NOW + 3, T1_acknowledged=0)
    assert states(alarms) == {}, "no alarm has come since"


def test_one_that_comes_and_goes_within_a_moment_waits_too():
    alarms = board()
    told(alarms, NOW, T1_active=0)
    alarms.take("scada", [Reading("alarm/T1/active", value, NOW + 1) for value in (1.0, 0.0)], NOW + 1)
    assert states(alarms) == {"T1": "returned"}


def test_where_clearing_is_enough_nobody_waits():
    for settings in ({"latched": False}, {"acknowledged": None}):
        alarms = board(**settings)
        told(alarms, NOW, T1_active=1)
        told(alarms, NOW + 1, T1_active=0)
        assert states(alarms) == {}, settings


def test_one_number_says_all():
    meanings = {0: "cleared", 1: "unacknowledged", 2: "acknowledged", 3: "returned", 4: "shelved"}
    alarms = AlarmBoard(AlarmSettings.model_validate({"sources": [{"state": "alarm/**", "states": meanings}]}))
    for number, meaning in [*meanings.items(), (5, "unknown"), (1.5, "unknown")]:
        alarms.take("scada", [Reading("alarm/hall/T1", float(number), NOW)], NOW)
        assert states(alarms) == ({} if meaning == "cleared" else {"hall/T1": meaning})


def test_priorities_decide_who_comes_first_and_what_is_not_known_is_critical():
    alarms = board(priority="medium")
    told(alarms, NOW, low_active=1, low_priority=4, none_active=1, odd_active=1, odd_priority=77, high_active=1, high_priority=2)
    assert [(alarm.name, alarm.priority) for alarm in alarms.views(NOW)] == [("odd", "critical"), ("high", "high"), ("none", "medium"), ("low", "low")]
    told(alarms, NOW, odd_acknowledged=1)
    assert alarms.most_urgent("low").name == "high"
    told(alarms, NOW, high_acknowledged=1)
    assert alarms.most_urgent("high") is None and alarms.most_urgent("medium").name == "none"


def test_bad_quality_is_no_knowledge():
    alarms = board()
    told(alarms, NOW, T1_active=0)
    told(alarms, NOW + 1, quality=Quality.BAD, T1_active=0)
    assert states(alarms) == {"T1": "unknown"} and alarms.unknown("low").name == "T1"
    told(alarms, NOW + 2, T1_active=0)
    assert states(alarms) == {} and alarms.unknown("low") is None


def test_a_clock_that_is_set_back_hides_no_alarm():
    alarms = board()
    told(alarms, NOW, T1_active=0)
    told(alarms, NOW + 1, at=NOW - 3600, T1_active=1)
    assert states(alarms) == {"T1": "unacknowledged"}


def come_and_go(alarms: AlarmBoard, now: float, count: int, seconds: float = 1.0) -> float:
    for number in range(count):
        told(alarms, now + number * seconds, **{f"N{number}_active": 0})
        told(alarms, now + number * seconds, **{f"N{number}_active": 1, f"N{number}_acknowledged": 1})
    return now + (count - 1) * seconds


def test_more_than_ten_alarms_in_ten_minutes_are_a_flood_until_fewer_than_five():
    alarms = board()
    last = come_and_go(alarms, NOW, 10)
    assert not alarms.flood and alarms.recent == 10
    told(alarms, last + 1, X_active=0)
    told(alarms, last + 1, X_active=1, X_acknowledged=1)
    assert alarms.flood and alarms.recent == 11
    for second, recent in ((599, 11), (600, 10), (605, 5)):
        alarms.tick(NOW + second)
        assert alarms.flood and alarms.recent == recent
    alarms.tick(NOW + 606)
    assert not alarms.flood and alarms.recent == 4


def test_the_numbers_of_a_flood_can_be_set():
    alarms = AlarmBoard(AlarmSettings.model_validate({"sources": [PARTS], "flood_alarms": 2, "flood_ends_below": 1, "flood_seconds": 60}))
    last = come_and_go(alarms, NOW, 3)
    assert alarms.flood
    alarms.tick(last + 59)
    assert alarms.flood
    alarms.tick(last + 60)
    assert not alarms.flood


def test_what_stood_before_a_start_is_no_flood_unless_it_has_just_come():
    old = board()
    told(old, NOW, at=NOW - 7200, **{f"N{number}_active": 1 for number in range(30)})
    assert not old.flood and len(states(old)) == 20 and old.counts() == (30, 30)
    acknowledged = board()
    told(acknowledged, NOW, **{f"N{number}_{part}": 1 for number in range(30) for part in ("active", "acknowledged")})
    assert not acknowledged.flood
    recent = board()
    told(recent, NOW, at=NOW - 60, **{f"N{number}_active": 1 for number in range(11)})
    assert recent.flood
    undated = board()
    told(undated, NOW, at=0.0, quality=Quality.UNCERTAIN, **{f"N{number}_active": 1 for number in range(11)})
    assert not undated.flood and undated.counts() == (11, 11)


def test_three_times_a_minute_is_chattering_and_a_day_is_stale():
    alarms = board()
    told(alarms, NOW, T1_active=0)
    for second in (1, 20, 40):
        told(alarms, NOW + second, T1_active=1)
        told(alarms, NOW + second + 1, T1_active=0)
    told(alarms, NOW + 45, T2_active=1)
    assert {alarm.name: alarm.chattering for alarm in alarms.views(NOW + 50)} == {"T1": True, "T2": False}
    assert not any(alarm.chattering for alarm in alarms.views(NOW + 62))
    day = 24 * 3600
    assert not any(alarm.stale for alarm in alarms.views(NOW + day))
    assert {alarm.name: alarm.stale for alarm in alarms.views(NOW + 46 + day)} == {"T1": False, "T2": True}, "T1 is not active any more"


def test_until_something_is_heard_nobody_can_tell():
    alarms = board(name="SCADA")
    [problem] = alarms.problems(NOW)
    assert "SCADA" in problem["en"] and "has reported" in problem["en"] and "SCADA" in problem["zh"]
    alarms.take("scada", [Reading("line/L1/loading_pct", 50.0, NOW)], NOW)
    assert alarms.problems(NOW), "another point says nothing of alarms"
    told(alarms, NOW, T1_active=0)
    assert not alarms.problems(NOW + 1e6), "alarms speak when they change"


def test_an_adapter_that_lost_its_source_makes_its_alarms_unknown():
    alarms = board()
    told(alarms, NOW, adapter="gateway", T1_active=0)
    alarms.lose(["another"])
    assert not alarms.problems(NOW)
    alarms.lose(["another", "gateway"])
    assert "gateway" in alarms.problems(NOW)[0]["en"]
    alarms.lose([])
    assert not alarms.problems(NOW)


def test_readings_that_an_adapter_dropped_may_have_been_alarms():
    alarms = board()
    told(alarms, NOW, adapter="gateway", T1_active=0)
    alarms.miss({"gateway": 0, "another": 7}, NOW + 1)
    assert not alarms.problems(NOW + 1), "the other one delivers no alarms"
    alarms.miss({"gateway": 3, "another": 7}, NOW + 2)
    [problem] = alarms.problems(NOW + 2)
    assert "gateway" in problem["en"] and "had to drop readings in the last 10 min" in problem["en"] and "gateway" in problem["zh"]
    alarms.miss({"gateway": 3, "another": 7}, NOW + 500)
    assert alarms.problems(NOW + 601) and not alarms.problems(NOW + 602)
    alarms.miss({"gateway": 4}, NOW + 700)
    assert alarms.problems(NOW + 1299)


def test_a_heartbeat_vouches_for_alarms_that_say_nothing():
    alarms = board(heartbeat="scada/heartbeat", stale_after="30s")
    assert "scada/heartbeat" in alarms.problems(NOW)[0]["en"]
    alarms.take("scada", [Reading("scada/heartbeat", 1.0, NOW)], NOW)
    assert not alarms.problems(NOW + 29.9)
    assert alarms.problems(NOW + 30)
    alarms.take("scada", [Reading("scada/heartbeat", 1.0, NOW)], NOW + 31)
    assert alarms.problems(NOW + 31), "an old heartbeat, told again"
    alarms.take("scada", [Reading("scada/heartbeat", 1.0, NOW + 99_999)], NOW + 32)
    assert not alarms.problems(NOW + 32) and alarms.problems(NOW + 62), "a clock that runs ahead vouches for no future"


def test_without_a_heartbeat_each_alarm_has_to_report():
    alarms = board(stale_after="10s")
    told(alarms, NOW, T1_active=0, T2_active=0)
    told(alarms, NOW + 8, T1_active=0)
    alarms.tick(NOW + 10)
    assert states(alarms) == {"T2": "unknown"}
    told(alarms, NOW + 11, T2_active=0)
    assert states(alarms) == {}
    told(alarms, NOW + 12, at=0.0, T1_active=0)
    alarms.tick(NOW + 18)
    assert states(alarms) == {"T1": "unknown"}, "a retained message without a time is never fresh"


def test_too_many_alarms_to_follow_are_unknown_and_cleared_ones_give_way(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gridtone.alarms.board.MOST_ALARMS", 100)
    alarms = board()
    for number in range(1000):
        told(alarms, NOW, **{f"N{number}_active": 0})
    assert not alarms.problems(NOW)
    for number in range(99):
        told(alarms, NOW, **{f"N{number}_active": 1})
    assert not alarms.problems(NOW)
    told(alarms, NOW, X_active=1)
    assert not alarms.problems(NOW)
    told(alarms, NOW, Y_active=1)
    assert "too many" in alarms.problems(NOW)[0]["en"]
    told(alarms, NOW, **{f"N{number}_{part}": value for number in range(99) for part, value in (("active", 0), ("acknowledged", 1))})
    told(alarms, NOW, Y_active=1)
    assert not alarms.problems(NOW) and "Y" in states(alarms)


def test_a_json_document_with_fields_is_an_alarm():
    topic = MqttTopic(
        topic="scada/alarm/{id}", point="alarm/{id}", values={"state.active": "active", "state.ack": "acknowledged", "prio": "priority"}, time_path="t"
    )
    reader = TopicReader(topic).for_topic("scada/alarm/T1")
    assert reader
    alarms, now = board(), time.time()
    for ack, state in ((False, "unacknowledged"), (True, "acknowledged")):
        document = json.dumps({"state": {"active": True, "ack": ack}, "prio": 2, "t": now}).encode()
        alarms.take("scada", reader.read(document, now, True, lambda reason: None), now)
        [alarm] = alarms.views(now)
        assert (alarm.name, alarm.state, alarm.priority) == ("T1", state, "high")


def test_the_handbooks_webhook_brings_alarms_of_prometheus(monkeypatch: pytest.MonkeyPatch):
    page = (Path(__file__).parents[2] / "docs/adapters.md").read_text(encoding="utf-8")
    [example] = [text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "kind: webhook" in text]
    site = Document(example, Path("adapters.md")).validate(Site)
    monkeypatch.setenv("ALERT_TOKEN", "secret-of-the-senders")
    here = {"host": "127.0.0.1", "port": free_port(), "tls": None, "token": Secret(env="ALERT_TOKEN")}
    config = site.adapters[0].model_copy(update=here)
    adapter, alarms = open_adapter(config), AlarmBoard(site.alarms)
    threading.Thread(target=lambda: [alarms.take(adapter.name, batch, time.time()) for batch in adapter.batches()], daemon=True).start()
    until(lambda: adapter.health().connected)
    assert "no heartbeat" in alarms.problems(time.time())[0]["en"]

    def send(status: str, **labels: str) -> None:
        alert = {"status": status, "labels": labels, "startsAt": "2026-11-20T07:00:00Z", "endsAt": "2026-11-20T08:00:00Z", "fingerprint": "f1"}
        url = f"http://127.0.0.1:{here['port']}/alerts"
        answer = requests.post(url, json={"alerts": [alert]}, headers={"Authorization": "Bearer secret-of-the-senders"}, timeout=PATIENCE_SECONDS)
        assert answer.ok, answer.text

    try:
        send("firing", alertname="Watchdog")
        until(lambda: not alarms.problems(time.time()))
        assert alarms.counts() == (0, 0)
        send("firing", alertname="TransformerHot", severity="critical")
        until(lambda: alarms.counts() == (1, 1))
        [alarm] = alarms.views(time.time())
        assert (alarm.name, alarm.state, alarm.priority) == ("TransformerHot/f1", "unacknowledged", "critical")
        send("resolved", alertname="TransformerHot", severity="critical")
        until(lambda: alarms.counts() == (0, 0))
    finally:
        adapter.close()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["active", "acknowledged", "shelved", "priority"]),
            st.one_of(st.sampled_from([0.0, 1.0, 2.0]), st.floats(-10, 10), st.just(math.inf)),
            st.sampled_from(list(Quality)),
            st.floats(-1e9, 1e9),
        ),
        max_size=30,
    )
)
def test_whatever_is_told_an_active_alarm_that_nobody_acknowledged_waits(readings: list[tuple[str, float, Quality, float]]):
    alarms = board()
    for number, (part, value, quality, at) in enumerate(readings):
        alarms.take("scada", [Reading(f"alarm/T1/{part}", value, at, "", quality)], NOW + number)
    alarms.take("scada", [Reading(f"alarm/T1/{part}", value, NOW) for part, value in (("shelved", 0.0), ("acknowledged", 0.0), ("active", 1.0))], NOW + 99)
    assert alarms.most_urgent("low") and alarms.counts() == (1, 1)
    alarms.take("scada", [Reading("alarm/T1/acknowledged", 1.0, NOW)], NOW + 100)
    alarms.take("scada", [Reading("alarm/T1/active", 0.0, NOW)], NOW + 100)
    assert alarms.counts() == (0, 0) and alarms.views(NOW + 100) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{name: x}", "site.yaml:1:20: the alarms `x` need one of `state` and `active`"),
        ("{state: a/*, active: b/*}", "need one of `state` and `active`"),
        ("{state: a/*, acknowledged: b/*}", "site.yaml:1:33: `acknowledged` means nothing beside `state`"),
        ("{active: a/*, acknowledged: b/*/*}", "`acknowledged` and `active` have different wildcards"),
        ("{active: a/*, heartbeat: b}", "a `heartbeat` lacks `stale_after`; add such as `stale_after: 30s`"),
        ("{active: a/+}", "`+` is not a wildcard here; did you mean `*`?"),
        ("{activ: a/*}", "did you mean `active`?"),
        ("{state: a/*, states: {0: clear}}", "`clear` is not one of"),
        ("{active: a/*, priority: urgent}", "`urgent` is not one of"),
    ],
)
def test_mistakes_are_said_with_their_place(tmp_path: Path, source: str, said: str):
    (tmp_path / "site.yaml").write_text(f"alarms: {{sources: [{source}]}}")
    with pytest.raises(DocumentError) as error:
        load_site(tmp_path / "site.yaml", {})
    assert said in str(error.value)
