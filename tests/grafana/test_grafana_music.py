"""What the panel plays, recorded: the built Grafana app in a real browser, through a proxy that behaves like Grafana's, before a real gridtone server.

A Grafana server itself is not part of this: see docs/grafana.md.
"""

import time
from pathlib import Path

import numpy as np
import pytest
import requests
from grafana_page import FULL, TOKEN, open_page, play, show, steady
from grafana_proxy import Grafana, grafana_before
from grafana_site import gridtone_serve, publishing, wait_for
from playwright.sync_api import Browser, Page, expect
from scipy import signal as dsp

from gridtone.demo.broker import start_broker
from memory_backend import MemoryBackend, chord, running
from sound import AUDIBLE_DB, SILENT_DB, eventually, latest, level, levels, recording, tone, until_heard, until_silent, until_tone
from waiting import free_port

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("major", ["12", "13"])
def test_a_cue_crossfades_without_gap_or_click_and_the_panel_says_why(page: Page, backend: MemoryBackend, grafana: Grafana) -> None:
    one, two = backend.add_track(chord([440, 550], 60)), backend.add_track(chord([660, 830], 60))
    backend.give("play", one, upcoming=two)
    show(page, FULL)
    expect(page.get_by_role("heading", name="Normal, day load")).to_be_visible()
    expect(page.get_by_text("All lines are below 80 %")).to_be_visible()
    expect(page.get_by_text("Licence: CC0-1.0")).to_be_visible()
    assert page.evaluate("window.contexts") == 0, "sound before anybody asked"
    play(page)
    until_tone(page, 440)

    def change() -> None:
        page.wait_for_timeout(500)
        backend.show("emergency")
        backend.give("play", two)

    samples, rate = recording(page, change, until=lambda latest, rate: tone(latest, rate, 660) > tone(latest, rate, 440) + 40)
    first, last = samples[: rate // 4], samples[-rate // 2 :]
    assert tone(first, rate, 440) > tone(first, rate, 660) + 40
    assert tone(last, rate, 660) > tone(last, rate, 440) + 40
    assert np.ptp(levels(samples, rate, 0.05)) < 3, "a gap or a bump"
    high = dsp.sosfiltfilt(dsp.butter(8, 6000, "high", fs=rate, output="sos"), samples)[rate // 10 : -rate // 10]
    assert np.abs(high).max() < 0.002, "a click"
    expect(page.get_by_role("heading", name="Emergency")).to_be_visible()
    assert not any(TOKEN in request for request in grafana.requests)
    assert TOKEN not in page.content()


def test_the_music_survives_edits_variables_and_dashboards_without_the_panel(page: Page, backend: MemoryBackend) -> None:
    backend.give("play", steady(backend, 440))
    show(page, FULL)
    play(page)
    until_tone(page, 440)

    def walk_about() -> None:
        show(page)
        page.wait_for_timeout(500)
        show(page, {"key": "edit", "width": 900, "height": 600})
        expect(page.locator("#edit").get_by_role("button", name="Pause")).to_be_visible()
        show(page, {"key": "edit", "width": 400, "height": 300, "options": {"datasource": "${datasource}"}}, theme="light")
        page.wait_for_timeout(500)
        show(page, {**FULL, "options": {"crossfadeSeconds": 4, "showTrack": False}})
        expect(page.locator("#one").get_by_role("button", name="Pause")).to_be_visible()

    samples, rate = recording(page, walk_about)
    assert np.ptp(levels(samples, rate, 0.05)) < 1, "the music stopped or began anew"
    assert len(page.evaluate("window.starts")) == 1 and page.evaluate("window.contexts") == 1
    show(page, {**FULL, "key": "again", "options": {"stayOn": False}})
    expect(page.locator("#again").get_by_role("button", name="Pause")).to_be_visible()
    show(page)
    page.wait_for_timeout(3000)
    assert tone(*latest(page), 440) > AUDIBLE_DB, "a look at another dashboard is no leaving"
    until_silent(page)


def test_the_cue_turns_the_music_down(page: Page, backend: MemoryBackend) -> None:
    track = steady(backend, 440)
    first = backend.give("play", track)
    show(page, FULL)
    play(page)
    until_tone(page, 440)
    before = tone(*latest(page), 440)
    backend.give("play", track, time=first.time, duck_db=-20.0)
    expect(page.get_by_text("turned down by 20 dB")).to_be_visible()
    until_heard(page, lambda samples, rate: abs(tone(samples, rate, 440) - before + 20) < 0.5, "20 dB less")


def test_silence_when_the_service_is_not_heard_and_music_when_it_is_back(browser: Browser, backend: MemoryBackend) -> None:
    backend.give("play", steady(backend, 440))
    with grafana_before("") as grafana:
        context = browser.new_context()
        with running(backend) as service:
            grafana.service = service
            page = open_page(context, grafana)
            show(page, FULL)
            play(page)
            until_tone(page, 440)
        samples, rate = recording(page, lambda: None, until=lambda latest, _rate: level(latest) < SILENT_DB)
        print(f"silent {np.flatnonzero(levels(samples, rate, 0.1) < SILENT_DB)[0] / 10:.1f} s after the service ended")
        expect(page.get_by_text("the music is silent until it is back")).to_be_visible()
        with running(backend) as service:
            grafana.service = service
            expect(page.get_by_text("the music is silent until it is back")).to_be_hidden()
            until_tone(page, 440)
        context.close()


@pytest.mark.parametrize("events_held_back", [False, True])
def test_silence_when_the_service_stands_still_though_it_answers(page: Page, backend: MemoryBackend, grafana: Grafana, events_held_back: bool) -> None:
    grafana.events_held_back = events_held_back
    backend.give("play", steady(backend, 440))
    show(page, FULL)
    play(page)
    until_tone(page, 440)
    backend.stalled = True
    until_silent(page)
    expect(page.get_by_text("the service no longer watches the time")).to_be_visible()
    backend.stalled = False
    until_tone(page, 440)


@pytest.mark.parametrize("events_held_back", [False, True])
def test_no_mood_outlives_its_state_though_the_next_track_does_not_come(page: Page, backend: MemoryBackend, grafana: Grafana, events_held_back: bool) -> None:
    grafana.events_held_back = events_held_back
    backend.give("play", steady(backend, 440))
    show(page, FULL)
    play(page)
    until_tone(page, 440)
    late = steady(backend, 660)
    audio = backend.audio.pop((late.id, "flac"))
    backend.show("emergency")
    backend.give("play", late)
    until_silent(page)
    expect(page.get_by_text("This track cannot be played")).to_be_visible()
    backend.audio[late.id, "flac"] = audio
    until_tone(page, 660)


def test_a_change_at_the_broker_changes_the_music(browser: Browser, tmp_path: Path) -> None:
    """The real service, a real broker: from the publish to another track in the browser."""
    with start_broker(free_port()) as broker, gridtone_serve(tmp_path, broker.port) as service, grafana_before(service) as grafana:
        with publishing(broker.port, 50):
            wait_for(lambda: requests.get(f"{service}/api/v1/cue", timeout=5).json()["track"])
            wait_for(lambda: requests.get(f"{service}/api/v1/tracks?state=high", timeout=5).json()["tracks"])
            page = open_page(context := browser.new_context(), grafana)
            show(page, FULL)
            expect(page.get_by_role("heading", name="Low load")).to_be_visible()
            play(page)
            until_heard(page, lambda samples, _rate: level(samples) > -70, "music")
        before = len(page.evaluate("window.starts"))
        published = time.time()
        with publishing(broker.port, 95):
            expect(page.get_by_role("heading", name="High load")).to_be_visible()
            eventually(page, lambda: len(page.evaluate("window.starts")) > before)
            print(f"publish to the begin of the crossfade: {page.evaluate('window.starts.at(-1)') - published:.2f} s")
            until_heard(page, lambda samples, _rate: level(samples) > -70, "music")
        assert page.complaints == []  # type: ignore[attr-defined]
        context.close()


def test_where_a_proxy_holds_events_back_the_service_is_asked(page: Page, backend: MemoryBackend, grafana: Grafana) -> None:
    grafana.events_held_back = True
    backend.give("play", steady(backend, 440))
    show(page, FULL)
    expect(page.get_by_label("asked every second")).to_be_attached()
    play(page)
    until_tone(page, 440)
    backend.give("play", steady(backend, 660))
    until_heard(page, lambda samples, rate: tone(samples, rate, 660) > tone(samples, rate, 440) + 40, "the next track")
