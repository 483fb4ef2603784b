"""The page of the audit log in a real browser, on a real service. The console must stay silent."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import chromium, listen_to_console
from gridtone.library.audit import open_audit
from gridtone.library.settings import LibrarySettings
from gridtone.person import Person
from gridtone.server.tokens import TokenFile
from rule_site import RULES, RuleSite
from waiting import PATIENCE_SECONDS

expect.set_options(timeout=PATIENCE_SECONDS * 1000)
FOREIGN = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def open_page(browser: Browser, url: str, **context: object) -> Page:
    page = browser.new_context(**{"locale": "en-GB"} | context).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    listen_to_console(page, ("401",))
    page.goto(url)
    return page


def close(page: Page) -> None:
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def actions(site: RuleSite, token: str) -> list[str]:
    return [entry["action"] for entry in site.ask("audit", token=token).json()["entries"]]


def test_an_admin_reads_who_did_what_newest_first_and_as_far_back_as_it_goes(browser: Browser, tmp_path: Path) -> None:
    site = RuleSite(tmp_path)
    site.data.mkdir()
    token = TokenFile(site.data).create("control room", "admin")
    with site.running():
        audit = open_audit(LibrarySettings(), site.data)
        for number in range(60):
            audit.record(Person("Grid planning", "editor"), "rules_saved", "rules.yaml", {"version": number, "reason": FOREIGN, "nothing": None})
        audit.record(None, "tried_something", "new")
        audit.record(None, "token_refused", "api.state", {"from": "192.0.2.7"})
        page = open_page(browser, f"{site.url}/audit")
        expect(page.locator("#refused")).to_have_text("Sign in on the player's page first, with a token of the role admin.")
        page.request.post(f"{site.url}/api/v1/session", data={"token": token})
        page.goto(site.url)
        page.get_by_role("link", name="Audit log").click()
        rows = page.locator("#entries tbody tr")
        expect(rows).to_have_count(50)
        expect(rows.nth(0)).to_contain_text("control room admin")
        expect(rows.nth(0)).to_contain_text("signed in page")
        expect(rows.nth(1).locator(".refusal")).to_have_text("token refused")
        expect(rows.nth(1)).to_contain_text("gridtone itself")
        expect(rows.nth(1)).to_contain_text("from: 192.0.2.7")
        expect(rows.nth(2)).to_contain_text("tried something new")
        expect(rows.nth(3)).to_contain_text("Grid planning editor")
        expect(rows.nth(3)).to_contain_text(f"reason: {FOREIGN} · version: 59")
        page.get_by_role("button", name="Older entries").click()
        expect(rows.last.locator("th")).to_have_text("1")
        numbers = [int(number) for number in page.locator("#entries tbody th").all_inner_texts()]
        assert numbers == list(range(len(numbers), 0, -1)) and len(numbers) > 60
        expect(page.get_by_role("button", name="Older entries")).to_be_hidden()
        page.get_by_role("button", name="中文").click()
        expect(rows.nth(1)).to_contain_text("令牌被拒绝")
        close(page)


def test_who_is_no_admin_sees_no_link_is_told_why_and_makes_no_entry(browser: Browser, tmp_path: Path) -> None:
    site = RuleSite(tmp_path)
    site.data.mkdir()
    tokens = {role: TokenFile(site.data).create(role, role) for role in ("editor", "admin")}  # type: ignore[arg-type]
    with site.running():
        page = open_page(browser, site.url)
        page.request.post(f"{site.url}/api/v1/session", data={"token": tokens["editor"]})
        with page.expect_response("**/api/v1/session") as asked:
            page.reload()
        assert asked.value.json() == {"name": "editor", "role": "editor"}
        expect(page.locator("#connection")).to_have_attribute("data-status", "connected")
        expect(page.locator("#to-audit")).to_be_hidden()
        page.goto(f"{site.url}/audit")
        expect(page.locator("#refused")).to_contain_text("takes a token of the role admin")
        expect(page.locator("#refused")).to_contain_text("editor has the role editor")
        expect(page.locator("#entries")).to_be_empty()
        assert "role_refused" not in actions(site, tokens["admin"])
        assert site.ask("audit", token=tokens["editor"]).status_code == 403, "the service refuses it, whatever the page shows"
        close(page)


@pytest.mark.slow
def test_it_fits_a_phone_and_leaves_pictures(browser: Browser, tmp_path: Path) -> None:
    site = RuleSite(tmp_path)
    with site.running():
        assert site.save(RULES.replace("95", "96"), "new limit of the feeder").ok
        for scheme, width, locale in (("dark", 1280, "en-GB"), ("light", 1280, "zh-CN"), ("dark", 360, "en-GB")):
            page = open_page(browser, f"{site.url}/audit", color_scheme=scheme, viewport={"width": width, "height": 800}, locale=locale)
            expect(page.locator("#entries")).to_contain_text("new limit of the feeder")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.screenshot(path=tmp_path / f"audit-{scheme}-{width}-{locale}.png", full_page=True)
            close(page)
