"""The player in a real browser, against a real server; what it plays is recorded sample by sample and measured."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from scipy import signal as dsp

from browsing import chromium, listen_to_console
from gridtone.alarms import AlarmsView, AlarmView, RoomView
from gridtone.conductor import SILENCE_SECONDS
from gridtone.rules.standing import Pending
from memory_backend import MemoryBackend, chord, day_of_states, noise, running
from sound import SILENT_DB, TAP, eventually, latest, level, levels, recording, tone, until_heard, until_silent, until_tone
from waiting import PATIENCE_SECONDS

expect.set_options(timeout=1000 * PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def backend() -> MemoryBackend:
    backend = MemoryBackend()
    backend.spans = day_of_states(time.time())
    return backend


@pytest.fixture
def url(backend: MemoryBackend) -> Iterator[str]:
    with running(backend) as address:
        yield address


def open_page(browser: Browser, url: str, allowed: tuple[str, ...] = (), **context: Any) -> Page:
    """A page whose console must stay silent, apart from messages that contain one of `allowed`."""
    opened: BrowserContext = browser.new_context(**{"locale": "en-GB"} | context)
    opened.set_default_timeout(1000 * PATIENCE_SECONDS)
    opened.add_init_script(TAP)
    page = opened.new_page()
    listen_to_console(page, allowed)
    page.goto(url)
    return page


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    page = open_page(browser, url)
    yield page
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def enable(page: Page) -> None:
    page.get_by_role("button", name="Enable sound").click()
    page.get_by_role("button", name="Pause").wait_for()


@pytest.mark.slow
def test_nothing_sounds_until_a_person_asks(page: Page, backend: MemoryBackend) -> None:
    backend.give("play", backend.add_track(chord([440], 30)))
    page.get_by_text("calm, warm pads").first.wait_for()
    assert page.evaluate("window.contexts") == 0
    enable(page)
    until_tone(page, 440)
    page.get_by_role("button", name="Pause").click()
    until_silent(page)


@pytest.fixture
def recorded(browser: Browser, url: str) -> Iterator[Page]:
    """A page whose every sample can be recorded: its own policy lets in no recorder."""
    page = open_page(browser, url, bypass_csp=True)
    yield page
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def loudest_above_6_khz(samples: NDArray[np.float32], rate: int) -> float:
    """Where a steady sine clicks. Its begin and end are the filter's own."""
    high = dsp.sosfiltfilt(dsp.butter(8, 6000, "high", fs=rate, output="sos"), samples)
    return float(np.abs(high[rate // 10 : -rate // 10]).max())


@pytest.mark.slow
def test_a_cue_crossfades_to_its_track_without_gap_or_click(recorded: Page, backend: MemoryBackend) -> None:
    one, two = backend.add_track(chord([440, 550], 60)), backend.add_track(chord([660, 830], 60))
    backend.give("play", one, upcoming=two)
    enable(recorded)
    until_tone(recorded, 440)

    def change() -> None:
        recorded.wait_for_timeout(500)
        backend.give("play", two)

    samples, rate = recording(recorded, change, until=lambda latest, rate: tone(latest, rate, 660) > tone(latest, rate, 440) + 40)
    first, last = samples[: rate // 4], samples[-rate // 2 :]
    assert tone(first, rate, 440) > tone(first, rate, 660) + 40
    assert tone(last, rate, 660) > tone(last, rate, 440) + 40
    assert np.ptp(levels(samples, rate, 0.05)) < 3, "a gap or a bump"
    assert loudest_above_6_khz(samples, rate) < 10 ** (-60 / 20), "a click"


@pytest.mark.slow
def test_a_track_that_nobody_announced_begins_before_it_is_decoded_and_goes_on_without_a_seam(recorded: Page, backend: MemoryBackend) -> None:
    backend.give("play", backend.add_track(chord([440, 550], 60)))
    enable(recorded)
    until_tone(recorded, 440)
    eventually(recorded, lambda: len(recorded.evaluate("window.starts")) == 2)

    def change() -> None:
        backend.give("play", backend.add_track(chord([660, 830], 60)))
        eventually(recorded, lambda: len(recorded.evaluate("window.starts")) == 4)

    samples, rate = recording(recorded, change, until=lambda latest, rate: tone(latest, rate, 660) > tone(latest, rate, 440) + 40)
    assert np.ptp(levels(samples, rate, 0.05)) < 3, "a gap or a bump"
    assert loudest_above_6_khz(samples, rate) < 10 ** (-60 / 20), "a click"


@pytest.mark.slow
def test_the_crossfade_keeps_its_power(recorded: Page, backend: MemoryBackend) -> None:
    one, two = backend.add_track(noise(1, 60)), backend.add_track(noise(2, 60))
    backend.give("play", one, upcoming=two)
    enable(recorded)
    until_heard(recorded, lambda samples, _rate: level(samples) > -40, "noise")
    recorded.wait_for_timeout(3000)
    count = len(recorded.evaluate("window.starts"))

    def change() -> None:
        backend.give("play", two, crossfade_seconds=3.0)
        eventually(recorded, lambda: len(recorded.evaluate("window.starts")) > count)

    measured = levels(*recording(recorded, change, seconds=4), 0.2)
    assert len(measured) > 18
    assert np.abs(measured - np.median(measured)).max() < 1.5


@pytest.mark.slow
def test_an_urgent_cue_during_a_crossfade_does_not_click(recorded: Page, backend: MemoryBackend) -> None:
    tracks = [backend.add_track(chord([hertz], 60)) for hertz in (440, 554, 659)]
    backend.give("play", tracks[0], upcoming=tracks[1])
    enable(recorded)
    until_tone(recorded, 440)

    def change_twice() -> None:
        backend.give("play", tracks[1], upcoming=tracks[2], crossfade_seconds=20.0)
        until_heard(recorded, lambda samples, rate: tone(samples, rate, 554) > -50, "the crossfade")
        assert tone(*latest(recorded), 440) > -50, "not during a crossfade"
        backend.give("play", tracks[2], crossfade_seconds=1.0)

    samples, rate = recording(
        recorded, change_twice, until=lambda latest, rate: tone(latest, rate, 659) > max(tone(latest, rate, 440), tone(latest, rate, 554)) + 40
    )
    assert loudest_above_6_khz(samples, rate) < 10 ** (-50 / 20)


@pytest.mark.slow
def test_who_joins_late_hears_what_the_others_hear(page: Page, backend: MemoryBackend) -> None:
    track = backend.add_track(np.concatenate([chord([440], 20), chord([880], 60)]))
    backend.give("play", track, time=time.time() - 22)
    enable(page)
    until_heard(page, lambda samples, _rate: level(samples) > -40, "music")
    samples, rate = latest(page)
    assert tone(samples, rate, 880) > tone(samples, rate, 440) + 40


@pytest.mark.slow
def test_silence_ducking_volume_and_mute(page: Page, backend: MemoryBackend) -> None:
    track = backend.add_track(chord([440], 90))
    backend.give("play", track)
    enable(page)
    until_tone(page, 440)
    loud = level(latest(page)[0])

    def until_quieter(decibels: float) -> None:
        until_heard(page, lambda samples, _rate: abs(level(samples) - loud + decibels) < 0.5, f"{decibels} dB less")

    backend.give("play", track, time=backend.cue().time, duck_db=-20.0)
    page.get_by_text("turned down by 20").wait_for()
    until_quieter(20)
    backend.give("play", track, time=backend.cue().time)
    until_quieter(0)
    page.get_by_role("button", name="Mute", exact=True).click()
    until_silent(page)
    page.get_by_role("button", name="Unmute").click()
    page.get_by_label("Volume").fill("35")
    until_quieter(12)
    page.reload()
    expect(page.get_by_label("Volume")).to_have_value("35")
    enable(page)
    until_tone(page, 440)
    backend.give("silence")
    until_silent(page)
    expect(page.locator("#track-text")).to_have_text("Silence")


def room(cause: str, reason: str, returns_at: float | None, alarms: tuple[AlarmView, ...] = ()) -> AlarmsView:
    waiting = sum(alarm.state == "unacknowledged" for alarm in alarms)
    words = {"en": reason, "zh": reason}
    return AlarmsView(time.time(), True, RoomView(bool(cause), cause, words, returns_at, 0.0), alarms, len(alarms), waiting, waiting, False, ())


@pytest.mark.slow
def test_an_alarm_silences_the_music_at_once_the_page_says_why_and_the_music_returns_slowly(recorded: Page, backend: MemoryBackend) -> None:
    page, track = recorded, backend.add_track(chord([440], 90))
    backend.give("play", track)
    enable(page)
    until_tone(page, 440)
    alarm = AlarmView("T1/hot", {"en": "Transformer T1 hot"}, "SCADA", "unacknowledged", "critical", time.time(), True, False)

    def come() -> None:
        page.wait_for_timeout(500)
        backend.events.publish("alarms", room("alarm", "Silent for an alarm.", None, (alarm,)))
        backend.give("silence", crossfade_seconds=SILENCE_SECONDS)

    samples, rate = recording(page, come, until=lambda samples, _rate: level(samples) < SILENT_DB)
    loud = levels(samples, rate, 0.02)
    last_full = int(np.flatnonzero(loud > loud.max() - 1)[-1])
    assert 0 < np.argmax(loud[last_full:] < SILENT_DB) <= 0.5 / 0.02, "the fade into silence takes no longer"
    expect(page.locator("#room-reason")).to_have_text("Silent for an alarm.")
    expect(page.locator("#alarms li")).to_have_count(1)
    expect(page.locator("#alarms li")).to_contain_text("critical")
    expect(page.locator("#alarms li")).to_contain_text("Transformer T1 hot")
    expect(page.locator("#alarms li")).to_contain_text("to be acknowledged · chattering")
    expect(page.locator("#room-counts")).to_have_text("1 standing, 1 to be acknowledged")

    backend.events.publish("alarms", room("dwell", "About to return.", time.time() + 60))
    expect(page.locator("#room-returns")).to_contain_text("The music returns in")
    expect(page.locator("#room-counts")).to_have_text("no alarm stands")
    backend.events.publish("alarms", room("", "", None))
    expect(page.locator("#room-silent")).to_be_hidden()

    def steady(samples: np.ndarray, rate: int) -> bool:
        return level(samples) > loud.max() - 0.2

    samples, rate = recording(page, lambda: backend.give("play", track, crossfade_seconds=5.0), until=steady)
    returned = levels(samples, rate, 0.1)
    rising = np.flatnonzero((returned > SILENT_DB) & (returned < returned[-1] - 0.3))
    assert 3.5 < len(rising) * 0.1 < 5.5, "it fades in over 5 s"
    assert (np.diff(returned[rising[0] :]) > -0.1).all(), "without a jump"


@pytest.mark.slow
def test_music_that_is_turned_down_goes_on_where_it_is(page: Page, backend: MemoryBackend) -> None:
    track = backend.add_track(chord([440], 90))
    backend.give("play", track)
    enable(page)
    until_tone(page, 440)
    loud, starts = level(latest(page)[0]), len(page.evaluate("window.starts"))
    backend.give("play", track, time=backend.cue().time, duck_db=-12.0)
    until_heard(page, lambda samples, _rate: abs(level(samples) - loud + 12) < 0.5, "12 dB less")
    assert len(page.evaluate("window.starts")) == starts, "nothing begins anew"


@pytest.mark.slow
def test_a_track_without_opus_plays_from_flac_and_one_without_audio_says_so(browser: Browser, backend: MemoryBackend, url: str) -> None:
    page = open_page(browser, url, allowed=("404",))
    backend.give("play", backend.add_track(chord([440], 60), codecs=("flac",)))
    enable(page)
    until_tone(page, 440)
    backend.give("play", backend.add_track(chord([550], 60), codecs=()))
    page.get_by_text("This track cannot be played here").wait_for()
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["missing", "hanging"])
def test_no_mood_outlives_its_state_though_the_next_track_does_not_come(browser: Browser, backend: MemoryBackend, url: str, how: str) -> None:
    page = open_page(browser, url, allowed=("404",), bypass_csp=True)
    backend.give("play", backend.add_track(chord([440], 120), codecs=("flac",)))
    enable(page)
    until_tone(page, 440)
    late = backend.add_track(chord([660], 120), codecs=("flac",))
    if how == "hanging":
        page.route(f"**/tracks/{late.id}/audio*", lambda route: None)
    else:
        audio = backend.audio.pop((late.id, "flac"))
    backend.show("alert")
    samples, rate = recording(page, lambda: backend.give("play", late), until=lambda samples, _rate: level(samples) < SILENT_DB)
    loud = levels(samples, rate, 0.02)
    last_full = int(np.flatnonzero(loud > loud.max() - 1)[-1])
    assert 0.3 / 0.02 < np.argmax(loud[last_full:] < SILENT_DB) <= 1 / 0.02, "it fades, and within a second"
    assert loudest_above_6_khz(samples, rate) < 10 ** (-60 / 20), "a click"
    if how == "hanging":
        page.unroute(f"**/tracks/{late.id}/audio*")
    else:
        backend.audio[late.id, "flac"] = audio
    until_tone(page, 660)
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


@pytest.mark.slow
def test_within_a_state_the_music_goes_on_while_the_next_track_does_not_come(browser: Browser, backend: MemoryBackend, url: str) -> None:
    page = open_page(browser, url, allowed=("404",), bypass_csp=True)
    backend.give("play", backend.add_track(chord([440], 120), codecs=("flac",)))
    enable(page)
    until_tone(page, 440)
    late = backend.add_track(chord([660], 120), codecs=("flac",))
    audio = backend.audio.pop((late.id, "flac"))

    def miss() -> None:
        backend.give("play", late)
        page.get_by_text("This track cannot be played here").wait_for()
        page.wait_for_timeout(4000)

    measured = levels(*recording(page, miss), 0.1)
    assert np.ptp(measured) < 1, "it fell silent"
    backend.audio[late.id, "flac"] = audio
    until_heard(page, lambda samples, rate: tone(samples, rate, 660) > tone(samples, rate, 440) + 40, "the next track")
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


@pytest.mark.slow
def test_audio_that_hangs_is_asked_for_again(browser: Browser, backend: MemoryBackend, url: str) -> None:
    page = open_page(browser, url, allowed=("ERR_",))
    page.evaluate("AbortSignal.timeout = (timeout => milliseconds => timeout.call(AbortSignal, milliseconds / 60))(AbortSignal.timeout)")
    track = backend.add_track(chord([440], 120))
    held: list[Route] = []
    page.route(f"**/tracks/{track.id}/audio*", lambda route: held.append(route) if not held else route.continue_(), times=2)
    backend.give("play", track)
    enable(page)
    until_tone(page, 440)
    assert held, "nothing hung"
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "hung"])
def test_a_service_that_falls_silent_silences_the_music_and_its_return_brings_it_back(browser: Browser, how: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(Path(__file__).parents[1] / "memory_backend.py"), str(port)]

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    processes = [start()]
    try:
        page = open_page(browser, f"http://127.0.0.1:{port}", allowed=("ERR_", "Failed to load resource"))
        enable(page)
        until_tone(page, 440)
        if how == "killed":
            processes[0].kill()
        else:
            os.kill(processes[0].pid, signal.SIGSTOP)
        until_silent(page)
        page.get_by_text("No word from the service").wait_for()
        if how == "killed":
            processes.append(start())
        else:
            os.kill(processes[0].pid, signal.SIGCONT)
        page.get_by_text("No word from the service").wait_for(state="hidden")
        until_tone(page, 440)
        assert page.complaints == []  # type: ignore[attr-defined]
        page.context.close()
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()  # type: ignore[union-attr]


def test_the_state_its_reason_and_its_signals_are_shown(page: Page, backend: MemoryBackend) -> None:
    backend.show("emergency")
    page.get_by_text("Line HV-12 is loaded to 112 %").first.wait_for()
    expect(page.locator("#state-title")).to_have_text("Emergency")
    expect(page.locator("#state-rule")).to_have_text("max_line_loading_pct > 90 or frequency_hz < 49.9")
    row = page.locator("#signals tbody tr").first
    for words in ("highest line loading", "line/HV-12/loading_pct", "112 %", "> 90 %", "22 % beyond", "1 s"):
        expect(row).to_contain_text(words)
    expect(page.locator("[aria-live=polite]")).to_contain_text("Emergency. Line HV-12")
    expect(page).to_have_title("Emergency · gridtone")
    backend.show("no_data")
    page.get_by_text("no reading", exact=True).wait_for()
    expect(page.locator("#signals")).to_contain_text("stale")


def test_what_hold_and_for_have_yet_to_run_is_counted_down(page: Page, backend: MemoryBackend) -> None:
    backend.show("alert")
    now = time.time()
    backend.show_standing(replace(backend.standing(), holds_until=now + 3000, pending=(Pending("emergency", now + 1500),)))
    expect(page.locator("#state-timers")).to_have_text(re.compile(r"^Stays for \d\d min at least · emergency begins in \d\d min if nothing changes$"))
    backend.show_standing(replace(backend.standing(), holds_until=now - 1, pending=()))
    expect(page.locator("#state-timers")).to_have_text("")


def test_the_workshop_is_shown(page: Page, backend: MemoryBackend) -> None:
    backend.problem = "rules.yaml:3:1: unknown key 'whem'"
    backend.events.publish("rules", {})
    page.get_by_text("unknown key 'whem'").wait_for()
    expect(page.locator("#stock li", has_text="Emergency")).to_contain_text("2 / 4")
    expect(page.locator("#sampler-line")).to_contain_text("track 2 of 4 for Alert · 42 %")
    page.locator("#sources-fold summary").click()
    expect(page.locator("#sources")).to_contain_text("not_a_number: 3")
    expect(page.locator("#sources")).to_contain_text("connection refused")


def test_a_busy_stock_is_asked_about_now_and_then_and_its_last_word_is_shown(page: Page, backend: MemoryBackend) -> None:
    expect(page.locator("#sampler-line")).to_contain_text("track 2 of 4")
    asked: list[Route] = []
    page.route("**/api/v1/states", lambda route: asked.append(route))
    for _ in range(30):
        backend.events.publish("stock", {})
        page.wait_for_timeout(100)
    eventually(page, lambda: len(asked) == 1)
    page.wait_for_timeout(6000)
    assert len(asked) == 1, "one at a time"
    backend.problem = "rules.yaml:3:1: the last word"
    backend.events.publish("stock", {})
    page.wait_for_timeout(500)
    began = time.monotonic()
    asked[0].continue_()
    page.unroute("**/api/v1/states")
    count = 0

    def counting(route: Route) -> None:
        nonlocal count
        count += 1
        route.continue_()

    page.route("**/api/v1/states", counting)
    page.get_by_text("the last word").wait_for()
    for _ in range(30):
        backend.events.publish("stock", {})
        page.wait_for_timeout(100)
    assert count <= 2 + (time.monotonic() - began) / 5


def test_everything_by_keyboard(page: Page, backend: MemoryBackend) -> None:
    backend.give("play", backend.add_track(chord([440], 60)))
    page.locator("#timeline rect").first.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen: list[str] = []
    while "SUMMARY" not in seen[-1:]:
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('class') || document.activeElement.tagName"))
        if seen[-1] == "sound":
            page.keyboard.press("Enter")
            page.get_by_role("button", name="Pause").wait_for()
        if seen[-1].startswith("span"):
            page.keyboard.press("ArrowLeft")
            page.keyboard.press("ArrowLeft")
            expect(page.locator("#timeline-detail")).not_to_contain_text("No data")
            page.keyboard.press("ArrowRight")
            expect(page.locator("#timeline-detail")).to_contain_text("No data")
    for control in ("language", "theme", "sound", "mute", "volume"):
        assert control in seen
    assert any(name.startswith("span") for name in seen)


def test_every_control_has_a_name_and_the_page_has_landmarks(page: Page) -> None:
    page.locator("#timeline rect").first.wait_for()
    nameless = page.evaluate("""() => [...document.querySelectorAll('button, input, summary, progress, [role=img], a, table')].filter((node) => {
        if (node.closest('[hidden]')) return false;
        const labelled = (node.getAttribute('aria-labelledby') ?? '').split(' ').map((id) => document.getElementById(id)?.textContent ?? '').join('');
        return !(node.getAttribute('aria-label') || labelled || node.textContent || node.labels?.[0]?.textContent).trim(); }).map((node) => node.outerHTML)""")
    assert nameless == []
    counts = page.evaluate("['header', 'main', 'h1', '[aria-live=polite]'].map((one) => document.querySelectorAll(one).length)")
    assert counts == [1, 1, 1, 1]
    assert page.evaluate("[...document.querySelectorAll('img')].every((image) => image.hasAttribute('alt'))")
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map((node) => node.id)).size === document.querySelectorAll('[id]').length")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_texts_stand_out_from_their_ground(browser: Browser, backend: MemoryBackend, url: str, scheme: Any) -> None:
    """WCAG AA: 4.5 to 1."""
    page = open_page(browser, url, color_scheme=scheme)
    for state in ("day", "alert", "emergency", "in_extremis", "restorative", "no_data"):
        backend.show(state)
        page.locator(f"#standing[data-severity={backend.standing().severity}]").wait_for()
        for selector in ("#state-title", ".muted", ".label", "#state-reason", "button.primary span"):
            colours = page.evaluate(
                """(selector) => { const node = document.querySelector(selector); let ground = node;
                while (getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
                return [getComputedStyle(node).color, getComputedStyle(ground).backgroundColor]; }""",
                selector,
            )
            assert contrast(*colours) >= 4.5, (state, selector, colours)
    page.context.close()


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        channels = np.array([float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_chinese_by_the_browsers_language_and_by_the_switch(browser: Browser, backend: MemoryBackend, url: str) -> None:
    backend.show("alert")
    page = open_page(browser, url, locale="zh-CN")
    page.get_by_role("heading", name="电网状态").wait_for()
    page.get_by_text("线路 HV-12 负载 92 %").first.wait_for()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.get_by_role("button", name="Switch to English").click()
    page.get_by_text("Line HV-12 is loaded to 92 %").first.wait_for()
    page.reload()
    page.get_by_role("heading", name="State of the grid").wait_for()
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def test_signing_in_and_out(browser: Browser, backend: MemoryBackend, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("correct-horse-battery\n", encoding="utf-8")
    backend.give("play", backend.add_track(chord([440], 60)))
    with running(backend, token_file=tmp_path / "tokens") as url:
        page = open_page(browser, url, allowed=("401",))
        page.get_by_label("Access token").fill("wrong-horse-battery")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("this token is not known here").wait_for()
        page.get_by_label("Access token").fill("correct-horse-battery")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("calm, warm pads").first.wait_for()
        enable(page)
        until_tone(page, 440)
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Access token").wait_for()
        assert page.evaluate("JSON.stringify(localStorage) + document.cookie").find("battery") == -1
        assert page.complaints == []  # type: ignore[attr-defined]
        page.context.close()


@pytest.mark.slow
def test_it_fits_a_phone_and_leaves_pictures(browser: Browser, backend: MemoryBackend, url: str, tmp_path: Path) -> None:
    backend.give("play", backend.add_track(chord([440], 120)), upcoming=backend.add_track(chord([660], 120), text="专注、沉稳、有节奏，温暖的弦乐"))
    for state, scheme, width, language in (
        ("day", "dark", 1280, "en"),
        ("emergency", "dark", 1280, "en"),
        ("alert", "light", 1280, "zh-CN"),
        ("alert", "dark", 360, "en"),
    ):
        backend.show(state)
        page = open_page(browser, url, color_scheme=scheme, viewport={"width": width, "height": 800}, locale=language)
        page.locator("#timeline rect").first.wait_for()
        page.locator("#stock li").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / f"{state}-{scheme}-{width}-{language}.png", full_page=True)
        assert page.complaints == []  # type: ignore[attr-defined]
        page.context.close()


def test_the_arithmetic_of_playback(page: Page) -> None:
    results = page.evaluate("""async () => {
        const { ServiceClock, placement, fadeLevel, fadeCurve } = await import('/static/player/schedule.js');
        let local = 100; const clock = new ServiceClock(() => local);
        clock.hear(1000.0); local = 101; clock.hear(1000.6); local = 102; clock.hear(1002.1);
        const cue = { action: 'play', time: 50, track: { seconds: 10 } };
        const up = { from: 0, to: 1, start: 5, seconds: 4 }, down = { from: 1, to: 0, start: 5, seconds: 4 };
        const silent = { ...cue, action: 'silence' };
        return { now: clock.now(), early: placement(cue, 47), late: placement(cue, 53), over: placement(cue, 60), silent: placement(silent, 53),
          power: [5, 6, 7.3, 9].map((t) => fadeLevel(up, t) ** 2 + fadeLevel(down, t) ** 2),
          ends: [fadeCurve(up).at(0), fadeCurve(up).at(-1), fadeCurve(down).at(-1)] };
    }""")
    assert results["now"] == pytest.approx(1002.1)  # the message that came quickest tells the offset
    assert (results["early"], results["late"], results["over"], results["silent"]) == ({"delay": 3, "offset": 0}, {"delay": 0, "offset": 3}, None, None)
    assert results["power"] == pytest.approx([1, 1, 1, 1])
    assert results["ends"] == pytest.approx([0, 1, 0], abs=1e-6)
