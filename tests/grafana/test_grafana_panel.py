"""What the panel shows and what a person does with it: the built Grafana app in a real browser, before a real gridtone server."""

import re

import numpy as np
import pytest
from grafana_page import FULL, icons_drawn, open_page, picture, play, show, steady
from grafana_proxy import Grafana
from playwright.sync_api import Browser, Page, expect

from memory_backend import MemoryBackend, chord
from sound import eventually, latest, level, until_silent, until_tone

pytestmark = pytest.mark.slow
TINY = {"key": "tiny", "width": 190, "height": 114}
LARGE = {"key": "large", "width": 1600, "height": 860}
WALL = {"key": "wall", "width": 1920, "height": 1080}
WALL_4K = {"key": "wall-4k", "width": 3840, "height": 2160}
WIDE = {"key": "wide", "width": 1880, "height": 240}


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
    expect(page.get_by_text(words)).to_be_visible()
    context.close()


def test_a_track_that_cannot_be_played_is_said_and_the_next_one_plays(page: Page, backend: MemoryBackend) -> None:
    backend.give("play", backend.add_track(chord([440], 60), codecs=()))
    show(page, FULL)
    play(page)
    expect(page.get_by_text("This track cannot be played")).to_be_visible()
    backend.give("play", steady(backend, 660))
    until_tone(page, 660)
    expect(page.get_by_text("This track cannot be played")).to_be_hidden()


def test_volume_is_kept_for_the_user_and_mute_ends(page: Page, backend: MemoryBackend, grafana: Grafana) -> None:
    grafana.write_seconds = [1.0, 0.5]  # writes that are slow at first must not overtake the later ones
    backend.give("play", steady(backend, 440))
    show(page, FULL)
    play(page)
    until_tone(page, 440)
    loud = level(latest(page)[0])
    slider = page.get_by_role("slider", name="Volume")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowDown")
    eventually(page, lambda: grafana.kept.get("volume") == "0.6")
    page.wait_for_timeout(1500)
    assert grafana.kept["volume"] == "0.6", "an older value came later"
    assert level(latest(page)[0]) == pytest.approx(loud + 40 * np.log10(0.6 / 0.7), abs=0.5)
    page.get_by_role("button", name="Mute for a while").click()
    page.get_by_role("menuitem", name="Mute for 5 min").click()
    expect(page.get_by_text("Muted until")).to_be_visible()
    until_silent(page)
    page.get_by_role("button", name="Unmute").click()
    until_tone(page, 440)
    page.reload()
    page.wait_for_function("window.grafana")
    show(page, FULL)
    expect(slider).to_have_attribute("aria-valuenow", "60")


def test_thumbs_reach_the_library(page: Page, backend: MemoryBackend) -> None:
    backend.give("play", steady(backend, 440))
    show(page, FULL)
    page.get_by_role("button", name="I like this track").click()
    expect(page.get_by_text("Thank you.")).to_be_visible()
    page.get_by_role("button", name="I do not like this track").click()
    page.get_by_label("What is wrong with it?").fill("too busy at night")
    page.keyboard.press("Enter")
    eventually(page, lambda: len(backend.thumbs) == 2)
    assert [(thumb.thumb, thumb.reason) for thumb in backend.thumbs] == [(1, ""), (-1, "too busy at night")]


@pytest.mark.parametrize(
    ("major", "theme", "language", "words"),
    [
        ("12", "dark", "en-US", "Normal, day load"),
        ("12", "light", "en-US", "Normal, day load"),
        ("12", "dark", "zh-Hans", "正常，日间负荷"),
        ("13", "light", "zh-Hans", "正常，日间负荷"),
    ],
)
def test_it_fits_a_tiny_and_a_full_screen_panel(
    browser: Browser, grafana: Grafana, backend: MemoryBackend, major: str, theme: str, language: str, words: str
) -> None:
    track = steady(backend, 440)
    backend.give("play", track, upcoming=track)
    page = open_page(context := browser.new_context(device_scale_factor=2, viewport={"width": 1640, "height": 1000}), grafana, language)
    show(page, FULL, TINY, LARGE, theme=theme)
    expect(page.get_by_role("heading", name=words)).to_have_count(3)
    eventually(page, lambda: icons_drawn(page))
    for panel in (FULL, TINY, LARGE):
        key = panel["key"]
        section = page.locator(f"#{key} section section")
        assert section.evaluate("node => node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight + 1"), f"{key} overflows"
        picture(page, f"#{key}", f"panel-{key}-{theme}-{language}-{major}")
    play_button = page.locator("#tiny").get_by_role("button", name="播放" if language == "zh-Hans" else "Play", exact=True)
    play_button.focus()
    page.keyboard.press("Enter")
    page.locator("#tiny").get_by_role("button", name="暂停" if language == "zh-Hans" else "Pause").wait_for()
    assert page.complaints == []  # type: ignore[attr-defined]
    context.close()


@pytest.mark.parametrize(("theme", "language"), [("dark", "en-US"), ("light", "zh-Hans")])
def test_on_a_wall_display_everything_grows_with_the_panel(browser: Browser, grafana: Grafana, backend: MemoryBackend, theme: str, language: str) -> None:
    track = steady(backend, 440)
    backend.give("play", track, upcoming=track)
    page = open_page(context := browser.new_context(viewport={"width": 3860, "height": 3900}), grafana, language)
    panels = (FULL, TINY, WIDE, WALL, WALL_4K)
    show(page, *panels, theme=theme)
    expect(page.get_by_role("heading", level=3)).to_have_count(len(panels))
    eventually(page, lambda: icons_drawn(page))
    heights, sliders = {}, {}
    for panel in panels:
        shown = page.locator(f"#{panel['key']}")
        section = shown.locator("section section")
        assert section.evaluate("node => node.scrollWidth <= node.clientWidth && node.scrollHeight <= node.clientHeight + 1"), f"{panel['key']} overflows"
        heights[panel["key"]] = shown.get_by_role("heading", level=3).evaluate("node => node.getBoundingClientRect().height")
        sliders[panel["key"]] = shown.get_by_role("slider")
        picture(page, f"#{panel['key']}", f"panel-{panel['key']}-{theme}-{language}-wall")
    assert heights["tiny"] < heights["wide"] < 40, "small and low panels keep Grafana's own size"
    assert heights["wall"] > 0.06 * 1080 and heights["wall-4k"] > 0.06 * 2160, "read from afar"
    empty = page.locator("#wall-4k").evaluate(
        """(panel) => {
            const of = (selector) => panel.querySelector(selector).getBoundingClientRect();
            const [heading, track, controls] = [of('h3'), of('dl'), of('[role=slider]')];
            return Math.max(track.top - heading.bottom, controls.top - track.bottom);
        }"""
    )
    assert empty < 0.33 * 2160, "no third of it is empty"

    groove = page.locator("#wall-4k .rc-slider").bounding_box()
    assert groove is not None
    page.mouse.click(groove["x"] + 0.5 * groove["width"], groove["y"] + 0.5 * groove["height"])
    expect(sliders["wall-4k"]).to_have_attribute("aria-valuenow", re.compile("^(49|50|51)$"))
    page.locator("#wall-4k").get_by_role("button", name="静音" if language == "zh-Hans" else "Mute for a while").first.click()
    expect(page.get_by_role("menuitem").first).to_be_in_viewport()
    context.close()
