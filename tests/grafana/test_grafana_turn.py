"""Of all panels and tabs of a browser one sounds, and none before a person asked for it."""

import json
import time
from urllib.parse import quote

import pytest
from grafana_page import FULL, open_page, play, show, steady
from grafana_proxy import Grafana
from playwright.sync_api import Browser, expect

from memory_backend import MemoryBackend
from sound import TAP, until_silent, until_tone
from waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow
ELSEWHERE = "sounds in another panel or tab"


@pytest.mark.parametrize("host", ["127.0.0.1", "grafana.example"])
def test_two_panels_are_one_player_and_two_tabs_elect_one(browser: Browser, grafana: Grafana, backend: MemoryBackend, host: str) -> None:
    """The second host is plain http, no secure context to a browser: there are no Web Locks."""
    grafana.url = grafana.url.replace("127.0.0.1", host)
    backend.give("play", steady(backend, 440))
    context = browser.new_context()
    one, two = open_page(context, grafana), open_page(context, grafana)
    assert one.evaluate("isSecureContext && 'locks' in navigator") == (host == "127.0.0.1")
    show(one, FULL, {**FULL, "key": "two"})
    play(one)
    expect(one.get_by_role("button", name="Pause")).to_have_count(2)
    assert one.evaluate("window.contexts") == 1
    show(two, FULL)
    two.get_by_role("button", name="Play", exact=True).click()
    expect(two.get_by_text(ELSEWHERE)).to_be_visible()
    two.wait_for_timeout(2000)
    assert two.evaluate("window.contexts") == 0, "both sound"
    two.get_by_role("button", name="Play here").click()
    expect(two.get_by_role("button", name="Pause")).to_be_visible()
    expect(one.get_by_text(ELSEWHERE).first).to_be_visible()
    until_tone(two, 440)
    until_silent(one)
    two.get_by_role("button", name="Pause").click()
    expect(one.get_by_role("button", name="Pause").first).to_be_visible()
    until_tone(one, 440)
    until_silent(two)
    two.get_by_role("button", name="Play", exact=True).click()
    expect(two.get_by_text(ELSEWHERE)).to_be_visible()
    one.close(run_before_unload=False)
    until_tone(two, 440)
    assert one.complaints + two.complaints == []  # type: ignore[attr-defined]
    context.close()


def test_a_browser_that_refuses_autoplay_asks_for_a_click(browser: Browser, backend: MemoryBackend, grafana: Grafana) -> None:
    backend.give("play", steady(backend, 440))
    context = browser.new_context()
    page = context.new_page()
    complaints: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: asked.append(message.text))
    page.add_init_script(TAP)
    # No question to the page before it has asked: the browser takes one for a person's gesture.
    page.add_init_script(
        "setInterval(() => document.body?.innerText.includes('Enable sound') && (window.tap?.context.currentTime ?? 0) === 0 && console.log('asked'), 100)"
    )
    panel = json.dumps([{**FULL, "options": {"autoplay": True}}])
    page.goto(f"{grafana.url}/?show={quote(panel)}")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "asked" not in asked:
        assert time.monotonic() < deadline, "nobody asked for a click"
        page.wait_for_timeout(100)
    if (button := page.get_by_role("button", name="Enable sound")).is_visible():
        button.click()
    page.get_by_role("button", name="Pause").wait_for()
    until_tone(page, 440)
    assert complaints == []
    context.close()
