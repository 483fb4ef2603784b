"""The built Grafana app in a real browser, with Grafana's own packages, through a proxy that behaves like Grafana's, before a real gridtone server.

What it plays is recorded sample by sample. A Grafana server itself is not part of this: see docs/grafana.md.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
import requests
from grafana_proxy import PANEL, Grafana, grafana_before
from grafana_site import free_port, gridtone_serve, publishing, wait_for
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from scipy import signal as dsp

from gridtone.demo.broker import start_broker
from memory_backend import MemoryBackend, chord, day_of_states, running
from sound import level, levels, recording, tone

pytestmark = pytest.mark.slow
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
TOKEN = "correct-horse-battery"
FULL = {"key": "one", "width": 640, "height": 360}
TINY = {"key": "tiny", "width": 190, "height": 114}
PICTURES = Path(__file__).parents[2] / "build/pictures"
RECORDER = """
(() => {
  window.recorded = []; window.contexts = 0; window.starts = [];
  const connect = AudioNode.prototype.connect, start = AudioBufferSourceNode.prototype.start;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target === this.context.destination && !this.context.tapped) {
      this.context.tapped = true; window.contexts++; window.rate = this.context.sampleRate;
      const tap = this.context.createScriptProcessor(4096, 1, 1);
      tap.onaudioprocess = (event) => { window.recorded.push(event.inputBuffer.getChannelData(0).slice());
        if (window.recorded.length > 1000) window.recorded.shift(); };
      connect.call(this, tap); connect.call(tap, target);
    }
    return connect.call(this, target, ...rest);
  };
  AudioBufferSourceNode.prototype.start = function (when, ...rest) {
    window.starts.push(Date.now() / 1000 + Math.max(0, when - this.context.currentTime));
    return start.call(this, when, ...rest);
  };
})();
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Chromium; install it with `apt install chromium`")
    if not (PANEL / "dist/panel/module.js").exists():
        pytest.skip("needs the built Grafana app: run `make panel`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def backend() -> MemoryBackend:
    backend = MemoryBackend()
    backend.spans = day_of_states(time.time())
    return backend


@pytest.fixture
def major() -> str:
    """Whose packages: Grafana 12 with React 18 unless a test says 13 with React 19."""
    return "12"


BOTH = pytest.mark.parametrize("major", ["12", "13"])


@pytest.fixture
def grafana(backend: MemoryBackend, major: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Grafana]:
    if not (PANEL / "build" / major / "grafana.js").exists():
        pytest.skip("needs the built Grafana app: run `make panel`")
    monkeypatch.setenv("GRIDTONE_TEST_TOKEN", TOKEN)
    with running(backend, token_env="GRIDTONE_TEST_TOKEN") as service, grafana_before(service, TOKEN, major) as grafana:
        yield grafana


def open_page(context: BrowserContext, grafana: Grafana, language: str = "en-US") -> Page:
    """A page whose console must stay silent."""
    page = context.new_page()
    page.complaints = []  # type: ignore[attr-defined]
    ignored = ("ScriptProcessorNode", "Failed to load resource", "Locize", "[DOM]")
    page.on("console", lambda message: any(word in message.text for word in ignored) or page.complaints.append(message.text))  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.complaints.append(str(error)))  # type: ignore[attr-defined]
    page.add_init_script(RECORDER)
    page.goto(f"{grafana.url}/?lang={language}")
    page.wait_for_function("window.grafana")
    return page


@pytest.fixture
def page(browser: Browser, grafana: Grafana) -> Iterator[Page]:
    context = browser.new_context()
    page = open_page(context, grafana)
    yield page
    assert page.complaints == []  # type: ignore[attr-defined]
    context.close()


def show(page: Page, *panels: dict[str, Any], theme: str = "dark") -> None:
    page.evaluate("([panels, theme]) => grafana.show(panels, theme)", [list(panels), theme])


def play(page: Page) -> None:
    page.get_by_role("button", name="Play", exact=True).first.click()
    page.get_by_role("button", name="Pause").first.wait_for()


@BOTH
def test_a_cue_crossfades_without_gap_or_click_and_the_panel_says_why(page: Page, backend: MemoryBackend, grafana: Grafana) -> None:
    one, two = backend.add_track(chord([440, 550], 60)), backend.add_track(chord([660, 830], 60))
    backend.give("play", one, upcoming=two)
    show(page, FULL)
    expect(page.get_by_role("heading", name="Normal, day load")).to_be_visible()
    expect(page.get_by_text("All lines are below 80 %")).to_be_visible()
    expect(page.get_by_text("Licence: CC0-1.0")).to_be_visible()
    assert page.evaluate("window.contexts") == 0, "sound before anybody asked"
    play(page)
    page.wait_for_timeout(3000)
    backend.show("emergency")
    backend.give("play", two, time=time.time() + 1)
    samples, rate = recording(page, 6)
    first, last = samples[: rate // 2], samples[-rate:]
    assert tone(first, rate, 440) > tone(first, rate, 660) + 40
    assert tone(last, rate, 660) > tone(last, rate, 440) + 40
    assert np.ptp(levels(samples, rate, 0.05)) < 3, "a gap or a bump"
    high = dsp.sosfiltfilt(dsp.butter(8, 6000, "high", fs=rate, output="sos"), samples)[rate // 10 : -rate // 10]
    assert np.abs(high).max() < 0.002, "a click"
    expect(page.get_by_role("heading", name="Emergency")).to_be_visible()
    assert not any(TOKEN in request for request in grafana.requests)
    assert TOKEN not in page.content()


def test_the_music_survives_edits_and_dashboards_without_the_panel(page: Page, backend: MemoryBackend) -> None:
    backend.give("play", backend.add_track(chord([440], 60)))
    show(page, FULL)
    play(page)
    page.wait_for_timeout(3000)
    elsewhere = "grafana.show([]); setTimeout(() => grafana.show([{key: 'edit', width: 900, height: 600}]), 2000)"
    samples, rate = recording(page, 4, elsewhere)
    assert np.ptp(levels(samples, rate, 0.05)) < 1, "the music stopped or began anew"
    expect(page.locator("#edit").get_by_role("button", name="Pause")).to_be_visible()
    assert page.evaluate("window.contexts") == 1
    show(page, {**FULL, "key": "again", "options": {"stayOn": False}})
    page.wait_for_timeout(300)
    show(page)
    page.wait_for_timeout(12000)
    assert level(recording(page, 0.5)[0]) < -80, "the option to stop on leaving"


def test_the_cue_turns_the_music_down(page: Page, backend: MemoryBackend) -> None:
    track = backend.add_track(chord([440], 60))
    first = backend.give("play", track)
    show(page, FULL)
    play(page)
    page.wait_for_timeout(3000)
    before = tone(*recording(page, 1), 440)
    backend.give("play", track, time=first.time, duck_db=-20.0)
    page.wait_for_timeout(4000)
    after = tone(*recording(page, 1), 440)
    assert after - before == pytest.approx(-20, abs=0.5)
    expect(page.get_by_text("turned down by 20 dB")).to_be_visible()


def test_silence_when_the_service_is_not_heard_and_music_when_it_is_back(browser: Browser, backend: MemoryBackend) -> None:
    backend.give("play", backend.add_track(chord([440], 120)))
    with grafana_before("") as grafana:
        context = browser.new_context()
        with running(backend) as service:
            grafana.service = service
            page = open_page(context, grafana)
            show(page, FULL)
            play(page)
            page.wait_for_timeout(2500)
            assert tone(*recording(page, 0.5), 440) > -40
        samples, rate = recording(page, 8)
        assert level(samples[-rate:]) < -80
        silent = np.flatnonzero(levels(samples, rate, 0.1) < -80)[0] / 10
        print(f"silent {silent:.1f} s after the service ended")
        assert silent < 7
        expect(page.get_by_text("the music is silent until it is back")).to_be_visible()
        with running(backend) as service:
            grafana.service = service
            expect(page.get_by_text("the music is silent until it is back")).to_be_hidden(timeout=20000)
            page.wait_for_timeout(2500)
            assert tone(*recording(page, 0.5), 440) > -40
        context.close()


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
            page.wait_for_timeout(3000)
            assert level(recording(page, 1)[0]) > -70
        before = len(page.evaluate("window.starts"))
        published = time.time()
        with publishing(broker.port, 95):
            expect(page.get_by_role("heading", name="High load")).to_be_visible()
            page.wait_for_function("count => window.starts.length > count", arg=before)
            delay = page.evaluate("window.starts.at(-1)") - published
            print(f"publish to the begin of the crossfade: {delay:.2f} s")
            assert delay < 3, "an escalation does not wait for a bar"
            page.wait_for_timeout(2500)
            assert level(recording(page, 1)[0]) > -70
        assert page.complaints == []  # type: ignore[attr-defined]
        context.close()


def test_two_panels_are_one_player_and_two_tabs_elect_one(browser: Browser, grafana: Grafana, backend: MemoryBackend) -> None:
    backend.give("play", backend.add_track(chord([440], 60)))
    context = browser.new_context()
    one, two = open_page(context, grafana), open_page(context, grafana)
    show(one, FULL, {**FULL, "key": "two"})
    play(one)
    expect(one.get_by_role("button", name="Pause")).to_have_count(2)
    assert one.evaluate("window.contexts") == 1
    show(two, FULL)
    two.get_by_role("button", name="Play", exact=True).click()
    expect(two.get_by_text("sounds in another panel or tab")).to_be_visible()
    assert two.evaluate("window.contexts") == 0
    two.get_by_role("button", name="Play here").click()
    expect(two.get_by_role("button", name="Pause")).to_be_visible()
    expect(one.get_by_text("sounds in another panel or tab").first).to_be_visible()
    two.wait_for_timeout(2500)
    assert tone(*recording(two, 0.5), 440) > -40
    assert level(recording(one, 0.5)[0]) < -80
    two.get_by_role("button", name="Pause").click()
    expect(one.get_by_role("button", name="Pause").first).to_be_visible()
    assert one.complaints + two.complaints == []  # type: ignore[attr-defined]
    context.close()


def test_a_browser_that_refuses_autoplay_asks_for_a_click(browser: Browser, backend: MemoryBackend, grafana: Grafana) -> None:
    backend.give("play", backend.add_track(chord([440], 60)))
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.add_init_script(RECORDER)
    page.add_init_script("setInterval(() => { window.asked ||= document.body?.innerText.includes('Enable sound') && window.recorded.length === 0 }, 100)")
    panel = json.dumps([{**FULL, "options": {"autoplay": True}}])
    page.goto(f"{grafana.url}/?show={quote(panel)}")
    time.sleep(6)  # no question to the page in this time: the browser takes one for a person's gesture
    assert page.evaluate("window.asked")
    if (button := page.get_by_role("button", name="Enable sound")).is_visible():
        button.click()
    page.get_by_role("button", name="Pause").wait_for()
    page.wait_for_timeout(2500)
    assert tone(*recording(page, 0.5), 440) > -40
    assert complaints == []
    context.close()


def test_an_alarm_hushes_within_a_second_until_it_is_acknowledged(page: Page, backend: MemoryBackend, grafana: Grafana) -> None:
    backend.give("play", backend.add_track(chord([440], 120)))
    show(page, {**FULL, "options": {"alertName": "Feeder tripped", "dwellSeconds": 2}})
    play(page)
    page.wait_for_timeout(3000)
    grafana.alerts = [{"fingerprint": "f1", "startsAt": "2026-01-01T00:00:00Z", "status": {"state": "active"}}]
    samples, rate = recording(page, 3)
    quiet = np.flatnonzero(levels(samples, rate, 0.05) < -50)[0] * 0.05
    print(f"hushed {quiet:.2f} s after the alarm")
    assert quiet < 1.2
    grafana.alerts = []
    page.wait_for_timeout(3000)
    assert level(recording(page, 0.5)[0]) < -80, "cleared by itself, not acknowledged"
    page.get_by_role("button", name="Acknowledge").click()
    page.wait_for_timeout(1000)
    assert level(recording(page, 0.5)[0]) < -80, "the dwell"
    page.wait_for_timeout(7000)
    assert tone(*recording(page, 0.5), 440) > -40
    grafana.alerts_answer = 403
    expect(page.get_by_text("Grafana could not be asked for the alarm")).to_be_visible()
    assert any("alertname%3D%22Feeder%20tripped%22" in request or "alertname%3D%22Feeder+tripped%22" in request for request in grafana.requests)


def test_where_a_proxy_holds_events_back_the_service_is_asked(page: Page, backend: MemoryBackend, grafana: Grafana) -> None:
    grafana.events_held_back = True
    backend.give("play", backend.add_track(chord([440], 60)))
    show(page, FULL)
    expect(page.get_by_label("asked every second")).to_be_attached(timeout=8000)
    play(page)
    backend.give("play", backend.add_track(chord([660], 60)))
    page.wait_for_timeout(5000)
    samples, rate = recording(page, 1)
    assert tone(samples, rate, 660) > tone(samples, rate, 440) + 40


@pytest.mark.parametrize(
    ("trouble", "words"), [("token", "refused the token"), ("service", "cannot reach the gridtone service"), ("source", "Add a gridtone data source")]
)
def test_trouble_is_said_with_what_to_do(browser: Browser, grafana: Grafana, trouble: str, words: str) -> None:
    page = open_page(context := browser.new_context(), grafana)
    if trouble == "token":
        grafana.token = "not-the-right-one"
    elif trouble == "service":
        grafana.service = "http://127.0.0.1:9"
    page.evaluate("([panel, known]) => grafana.show([panel], 'dark', known)", [FULL, [] if trouble == "source" else ["main"]])
    expect(page.get_by_text(words)).to_be_visible(timeout=9000)
    context.close()


def test_volume_is_kept_for_the_user_and_mute_ends(page: Page, backend: MemoryBackend, grafana: Grafana) -> None:
    backend.give("play", backend.add_track(chord([440], 60)))
    show(page, FULL)
    play(page)
    slider = page.get_by_role("slider", name="Volume")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowDown")
    page.wait_for_timeout(500)
    assert float(grafana.kept["volume"]) == pytest.approx(0.6)
    page.get_by_role("button", name="Mute for a while").click()
    page.get_by_role("menuitem", name="Mute for 5 min").click()
    expect(page.get_by_text("Muted until")).to_be_visible()
    page.wait_for_timeout(500)
    assert level(recording(page, 0.5)[0]) < -80
    page.get_by_role("button", name="Unmute").click()
    page.wait_for_timeout(6000)
    assert tone(*recording(page, 0.5), 440) > -40


def test_thumbs_reach_the_library(page: Page, backend: MemoryBackend) -> None:
    backend.give("play", backend.add_track(chord([440], 60)))
    show(page, FULL)
    page.get_by_role("button", name="I like this track").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    page.get_by_role("button", name="I do not like this track").click()
    page.get_by_label("What is wrong with it?").fill("too busy at night")
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    assert [(thumb.thumb, thumb.reason) for thumb in backend.thumbs] == [(1, ""), (-1, "too busy at night")]


@pytest.mark.parametrize(("major", "theme", "language", "words"), [("12", "dark", "en-US", "Normal, day load"), ("13", "light", "zh-Hans", "正常，日间负荷")])
def test_it_fits_a_tiny_and_a_large_panel(
    browser: Browser, grafana: Grafana, backend: MemoryBackend, major: str, theme: str, language: str, words: str
) -> None:
    track = backend.add_track(chord([440], 60))
    backend.give("play", track, upcoming=track)
    page = open_page(context := browser.new_context(device_scale_factor=2, viewport={"width": 1000, "height": 720}), grafana, language)
    show(page, FULL, TINY, {"key": "large", "width": 960, "height": 480}, theme=theme)
    expect(page.get_by_role("heading", name=words)).to_have_count(3)
    page.wait_for_timeout(1000)
    for key in ("one", "tiny"):
        PICTURES.mkdir(parents=True, exist_ok=True)
        page.locator(f"#{key}").screenshot(path=PICTURES / f"panel-{key}-{theme}-{language}-{major}.png")
        section = page.locator(f"#{key} section section")
        assert section.evaluate("node => node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight + 1"), f"{key} overflows"
    play_button = page.locator("#tiny").get_by_role("button", name="播放" if language == "zh-Hans" else "Play", exact=True)
    play_button.focus()
    page.keyboard.press("Enter")
    page.locator("#tiny").get_by_role("button", name="暂停" if language == "zh-Hans" else "Pause").wait_for()
    assert page.complaints == []  # type: ignore[attr-defined]
    context.close()


def test_the_data_source_answers_through_the_proxy(page: Page, backend: MemoryBackend, grafana: Grafana) -> None:
    track = backend.add_track(chord([440], 1))
    backend.give("play", track)
    backend.record_feedback(track.id, -1, "too busy")

    def rows(kind: str) -> Any:
        answer = page.evaluate("target => grafana.query(target)", {"kind": kind})
        assert answer.get("errors") is None
        return answer["frames"][0]

    assert rows("states")["state"][-1] == "day"
    assert "No data" in rows("changes")["title"]
    assert rows("signals")["max_line_loading_pct"]
    assert rows("plays")["track_id"] == [track.id]
    assert rows("feedback")["reason"] == ["too busy"]
    assert "No data" not in rows("stock")["title"]
    assert rows("sampler")["percent"] == [42]
    assert rows("adapters")["connected"] == [True, False]
    assert page.evaluate("grafana.health()")["status"] == "success"
    grafana.token = "wrong"
    assert "token" in page.evaluate("grafana.health()")["message"]


@BOTH
def test_the_editors_of_the_data_source(page: Page) -> None:
    page.evaluate(
        "() => { window.chosen = []; const query = {refId: 'A', kind: 'signals'};"
        " grafana.edit('QueryEditor', {query, onChange: (query) => chosen.push(query), onRunQuery() {}}) }"
    )
    page.get_by_role("combobox").first.click()
    page.get_by_role("option", name="Stock").click()
    assert page.evaluate("chosen")[-1]["kind"] == "stock"
    page.evaluate(
        "() => { window.chosen = []; const options = {jsonData: {url: 'gridtone'}, secureJsonFields: {}};"
        " grafana.edit('ConfigEditor', {options, onOptionsChange: (options) => chosen.push(options)}) }"
    )
    expect(page.get_by_text("Write http:// or https://")).to_be_visible()
    page.locator("#gridtone-token").fill("secret-token")
    assert page.evaluate("chosen")[-1]["secureJsonData"] == {"token": "secret-token"}
