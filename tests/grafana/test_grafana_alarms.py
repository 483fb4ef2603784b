"""Alarms go before music."""

from typing import Any

import pytest
from grafana_page import FULL, icons_drawn, picture, play, show, steady
from grafana_proxy import Grafana
from playwright.sync_api import Page, expect

from memory_backend import MemoryBackend
from sound import eventually, stays_silent, until_silent, until_tone

pytestmark = pytest.mark.slow
FIRING: list[dict[str, Any]] = [{"fingerprint": "f1", "startsAt": "2026-01-01T00:00:00Z", "status": {"state": "active"}}]


def test_an_alarm_hushes_until_it_is_acknowledged_and_the_dwell_is_over(page: Page, backend: MemoryBackend, grafana: Grafana) -> None:
    backend.give("play", steady(backend, 440))
    show(page, {**FULL, "options": {"alertName": "Feeder tripped", "dwellSeconds": 4}})
    play(page)
    until_tone(page, 440)
    grafana.alerts = FIRING
    until_silent(page)
    expect(page.get_by_text("an alarm waits for acknowledgement")).to_be_visible()
    eventually(page, lambda: icons_drawn(page))
    picture(page, "#one", "panel-alarm-dark-en-US-12")
    grafana.alerts = []
    assert stays_silent(page, 3), "cleared by itself, not acknowledged"
    page.get_by_role("button", name="Acknowledge").click()
    assert stays_silent(page, 2), "the dwell"
    until_tone(page, 440)
    grafana.alerts_answer = 403
    expect(page.get_by_text("the alarm could not be read")).to_be_visible()
    until_silent(page)
    assert any("alertname%3D%22Feeder%20tripped%22" in request or "alertname%3D%22Feeder+tripped%22" in request for request in grafana.requests)


@pytest.mark.parametrize("alarm", [{"values": [0, 2]}, {"alertState": "alerting"}])
def test_the_panels_own_data_and_its_linked_alert_hush_as_well(page: Page, backend: MemoryBackend, alarm: dict[str, Any]) -> None:
    backend.give("play", steady(backend, 440))
    panel = {**FULL, "options": {"valuesHush": True, "dwellSeconds": 0}}
    show(page, {**panel, "values": [5, 0]})
    play(page)
    until_tone(page, 440)
    show(page, {**panel, **alarm})
    until_silent(page)
    show(page)
    show(page, {**panel, "values": [0]})
    assert stays_silent(page, 2), "cleared by itself, and on another dashboard meanwhile, not acknowledged"
    page.get_by_role("button", name="Acknowledge").click()
    until_tone(page, 440)
    show(page, {**panel, "queryFailed": True})
    expect(page.get_by_text("the alarm could not be read")).to_be_visible()
    until_silent(page)


def test_the_services_own_silence_is_followed_and_its_reason_said(page: Page, backend: MemoryBackend) -> None:
    track = steady(backend, 440)
    backend.give("play", track)
    show(page, FULL)
    play(page)
    until_tone(page, 440)
    backend.give("silence", reason={"en": "Alarm HV-12 waits for acknowledgement", "zh": "告警 HV-12 待确认"})
    until_silent(page)
    expect(page.get_by_text("Silent: Alarm HV-12 waits for acknowledgement")).to_be_visible()
    backend.give("play", track)
    until_tone(page, 440)
