"""The data source of the built Grafana app, through a proxy that behaves like Grafana's, before a real gridtone server."""

from typing import Any

import pytest
from grafana_proxy import Grafana
from playwright.sync_api import Page, expect

from memory_backend import MemoryBackend, chord
from sound import eventually

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize("major", ["12", "13"])
def test_the_editors_of_the_data_source(page: Page) -> None:
    page.evaluate(
        "() => { window.chosen = []; const query = {refId: 'A', kind: 'signals'};"
        " grafana.edit('QueryEditor', {query, onChange: (query) => chosen.push(query), onRunQuery() {}}) }"
    )
    page.get_by_role("combobox").first.click()
    page.get_by_role("option", name="Stock").click()
    eventually(page, lambda: page.evaluate("chosen.at(-1)?.kind") == "stock")
    page.evaluate(
        "() => { window.chosen = []; const options = {jsonData: {url: 'gridtone'}, secureJsonFields: {}};"
        " grafana.edit('ConfigEditor', {options, onOptionsChange: (options) => chosen.push(options)}) }"
    )
    expect(page.get_by_text("Write http:// or https://")).to_be_visible()
    page.locator("#gridtone-token").fill("secret-token")
    eventually(page, lambda: page.evaluate("chosen.at(-1)?.secureJsonData") == {"token": "secret-token"})
