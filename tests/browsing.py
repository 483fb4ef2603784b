"""A real Chromium, and pages of it whose console is listened to."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]


@contextmanager
def chromium(arguments: Sequence[str] = ARGUMENTS) -> Iterator[Browser]:
    """Skips the test where there is none."""
    if not Path(CHROMIUM).exists():
        pytest.skip("needs Chromium; install it with `apt install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(arguments))
        yield browser
        browser.close()


def listen_to_console(page: Page, allowed: Sequence[str]) -> None:
    """`page.complaints` gets its errors and every message that contains none of `allowed`."""
    page.complaints = []  # type: ignore[attr-defined]
    page.on("console", lambda message: any(word in message.text for word in allowed) or page.complaints.append(message.text))  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.complaints.append(str(error)))  # type: ignore[attr-defined]
