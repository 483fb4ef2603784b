"""A page of Grafana with the panel on it, as the tests and the benchmark use it."""

from pathlib import Path
from typing import Any

from grafana_proxy import Grafana
from playwright.sync_api import BrowserContext, Page

import browsing
from browsing import listen_to_console
from gridtone.library.track import Track
from memory_backend import MemoryBackend, chord
from sound import TAP
from waiting import PATIENCE_SECONDS

ARGUMENTS = [*browsing.ARGUMENTS, "--host-resolver-rules=MAP grafana.example 127.0.0.1"]
TOKEN = "correct-horse-battery"
FULL: dict[str, Any] = {"key": "one", "width": 640, "height": 360}
PATIENCE_MILLISECONDS = 1000 * PATIENCE_SECONDS
PICTURES = Path(__file__).parents[2] / "build/pictures"
IGNORED = ("Failed to load resource", "Locize", "[DOM]")


def open_page(context: BrowserContext, grafana: Grafana, language: str = "en-US") -> Page:
    """A page whose console must stay silent."""
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    page = context.new_page()
    listen_to_console(page, IGNORED)
    page.add_init_script(TAP)
    page.goto(f"{grafana.url}/?lang={language}")
    page.wait_for_function("window.grafana")
    return page


def show(page: Page, *panels: dict[str, Any], theme: str = "dark") -> None:
    page.evaluate("([panels, theme]) => grafana.show(panels, theme)", [list(panels), theme])


def play(page: Page) -> None:
    page.get_by_role("button", name="Play", exact=True).first.click()
    page.get_by_role("button", name="Pause").first.wait_for()


def steady(backend: MemoryBackend, hertz: float) -> Track:
    """A sine that outlasts a test on a slow machine; as FLAC alone, which is quick to make."""
    return backend.add_track(chord([hertz], 200), codecs=("flac",))


def icons_drawn(page: Page) -> bool:
    return bool(
        page.evaluate("() => { const icons = [...document.querySelectorAll('svg')]; return icons.length > 3 && icons.every((icon) => icon.firstChild) }")
    )


def picture(page: Page, selector: str, name: str) -> None:
    """Kept in build/pictures, to be looked at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.locator(selector).screenshot(path=PICTURES / f"{name}.png")
