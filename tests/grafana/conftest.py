"""The built app, Chromium, and a gridtone server with a memory for a library."""

import time
from collections.abc import Iterator

import pytest
from grafana_page import ARGUMENTS, PATIENCE_MILLISECONDS, TOKEN, open_page
from grafana_proxy import PANEL, Grafana, grafana_before
from playwright.sync_api import Browser, Page, expect

from browsing import chromium
from memory_backend import MemoryBackend, day_of_states, running

expect.set_options(timeout=PATIENCE_MILLISECONDS)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not (PANEL / "dist/panel/module.js").exists():
        pytest.skip("needs the built Grafana app: run `make panel`")
    with chromium(ARGUMENTS) as browser:
        yield browser


@pytest.fixture
def backend() -> MemoryBackend:
    backend = MemoryBackend()
    backend.spans = day_of_states(time.time())
    return backend


@pytest.fixture
def major() -> str:
    """Whose packages: Grafana 12 with React 18 unless a test says 13 with React 19."""
    return "12"


@pytest.fixture
def grafana(backend: MemoryBackend, major: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Grafana]:
    if not (PANEL / "build" / major / "grafana.js").exists():
        pytest.skip("needs the built Grafana app: run `make panel`")
    monkeypatch.setenv("GRIDTONE_TEST_TOKEN", TOKEN)
    with running(backend, token_env="GRIDTONE_TEST_TOKEN") as service, grafana_before(service, TOKEN, major) as grafana:
        yield grafana


@pytest.fixture
def page(browser: Browser, grafana: Grafana) -> Iterator[Page]:
    context = browser.new_context()
    page = open_page(context, grafana)
    yield page
    complaints = page.complaints  # type: ignore[attr-defined]
    context.close()
    assert complaints == []
