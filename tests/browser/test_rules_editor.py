"""The rules page in a real browser, on a real service with real files. The console must stay silent: the content security policy is not violated once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from browsing import chromium, listen_to_console
from gridtone.server.tokens import TokenFile
from rule_site import RULES, RuleSite, waves
from waiting import PATIENCE_SECONDS, until

PATIENCE = PATIENCE_SECONDS * 1000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RuleSite]:
    with RuleSite(tmp_path).running() as site:
        yield site


def open_page(browser: Browser, site: RuleSite, allowed: tuple[str, ...] = (), **context: Any) -> Page:
    """A page whose console must stay silent, apart from messages that contain one of `allowed`."""
    opened = browser.new_context(**{"locale": "en-GB"} | context)
    opened.set_default_timeout(PATIENCE)
    page = opened.new_page()
    listen_to_console(page, allowed)
    page.goto(f"{site.url}/rules")
    expect(page.locator("#saved-line")).to_contain_text("·")
    return page


def close(page: Page) -> None:
    assert page.complaints == []  # type: ignore[attr-defined]
    page.context.close()


def after(page: Page, line: str) -> None:
    """Put the cursor at the end of the line that begins so."""
    page.locator(".cm-line").filter(has_text=line).first.click()
    page.keyboard.press("End")


def write(page: Page, line: str, back: int, text: str) -> None:
    """Take some characters from the end of a line, and type others, as a person does."""
    after(page, line)
    for _ in range(back):
        page.keyboard.press("Backspace")
    page.keyboard.type(text)
    page.keyboard.press("Escape")


def save(page: Page, reason: str) -> None:
    page.get_by_label("Why").fill(reason)
    page.get_by_role("button", name="Save").click()


def test_a_mistake_is_marked_at_its_line_cannot_be_saved_and_is_mended_with_a_press(browser: Browser, site: RuleSite) -> None:
    page = open_page(browser, site)
    expect(page.locator("#check-line")).to_have_text("Good rules: 1 signal, 3 states.")
    after(page, "clear: load < 90")
    page.keyboard.press("Home")
    page.keyboard.press("Delete")
    expect(page.locator("#check-line")).to_contain_text("1 to mend")
    expect(page.locator("#marks li")).to_contain_text("line 13:5")
    expect(page.locator("#marks li")).to_contain_text("`lear` is not a key of states.overload; did you mean `clear`?")
    expect(page.locator(".cm-lintRange-error")).to_have_text("lear")
    expect(page.locator(".cm-lint-marker-error")).to_have_count(1)
    lines = page.evaluate("""() => {
        const root = document.getElementById('editor').shadowRoot;
        const line = [...root.querySelectorAll('.cm-line')].find((line) => line.textContent.includes('lear:'));
        return [root.querySelector('.cm-lint-marker-error'), line].map((node) => node.getBoundingClientRect().top);
    }""")
    assert abs(lines[0] - lines[1]) < 12, "the marker stands beside the line"
    page.get_by_label("Why").fill("never mind")
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    page.get_by_label("Why").press("Enter")
    after(page, "lear: load")
    page.keyboard.press("Control+s")
    expect(page.locator("#save-line")).to_contain_text("1 to mend")
    assert site.rules.read_text() == RULES
    page.get_by_role("button", name="Write clear").click()
    expect(page.locator("#check-line")).to_have_text("Good rules: 1 signal, 3 states.")
    expect(page.locator("#marks li")).to_have_count(0)
    assert len(site.versions()) == 1
    close(page)


def test_a_good_text_is_saved_and_the_running_service_follows(browser: Browser, site: RuleSite) -> None:
    page = open_page(browser, site)
    write(page, "when: load > 80", 4, "85 % # the feeder was renewed")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#save-line")).to_contain_text("Say why first")
    save(page, "more headroom")
    expect(page.locator("#save-line")).to_have_text("Saved as version 2.")
    site.follows("load > 85 %")
    expect(page.locator("#saved-line")).to_contain_text("version 2 · local")
    expect(page.locator("#saved-line")).to_contain_text("in force")
    assert site.rules.read_text() == RULES.replace("load > 80 %", "load > 85 % # the feeder was renewed"), "comments and order are as they were"
    expect(page.locator("#versions tbody tr")).to_have_count(2)
    expect(page.locator("#versions tbody tr").first).to_contain_text("more headroom")

    page.get_by_role("button", name="Show 1").click()
    expect(page.locator("#difference-heading")).to_have_text("Version 1 and the rules as they are saved")
    expect(page.locator("#difference-view .cm-changedText").first).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Bring back 1").click()
    expect(page.locator("#save-line")).to_have_text("Saved as version 3.")
    site.follows("load > 80 %")
    assert site.rules.read_text() == RULES
    expect(page.locator("#versions tbody tr").first.locator("> *").nth(3)).to_have_text("back to version 1")
    expect(page.locator(".cm-line").filter(has_text="when: load > 80 %")).to_have_count(1)
    close(page)


def test_two_who_edit_at_once_lose_nothing(browser: Browser, site: RuleSite) -> None:
    one, other = open_page(browser, site), open_page(browser, site, allowed=("409",))
    write(one, "when: load > 80", 4, "85 %")
    write(other, "when: load > 95", 4, "97 %")
    save(one, "the first")
    expect(one.locator("#save-line")).to_have_text("Saved as version 2.")
    save(other, "the second")
    expect(other.locator("#difference")).to_be_visible()
    expect(other.locator("#difference-heading")).to_have_text("Somebody else changed the rules")
    assert "load > 95 %" in site.rules.read_text(), "nothing was overwritten"
    right = other.locator("#difference-view .cm-merge-b .cm-line")
    expect(right.filter(has_text="load > 97 %")).to_have_count(1)
    expect(right.filter(has_text="load > 80 %")).to_have_count(1)
    other.locator("#difference-view .cm-merge-revert button").nth(1).click()
    expect(right.filter(has_text="load > 85 %")).to_have_count(1)
    other.get_by_role("button", name="Go on with the right side").click()
    expect(other.locator("#check-line")).to_contain_text("Good rules")
    save(other, "both of us")
    expect(other.locator("#save-line")).to_have_text("Saved as version 3.")
    assert site.rules.read_text() == RULES.replace("load > 95 %", "load > 97 %").replace("load > 80 %", "load > 85 %")

    expect(one.locator("#saved-line")).to_contain_text("version 3")
    expect(one.locator(".cm-line").filter(has_text="load > 97 %")).to_have_count(1)
    close(one)
    close(other)


def test_a_change_in_the_file_is_told_while_one_types(browser: Browser, site: RuleSite) -> None:
    page = open_page(browser, site)
    write(page, "when: load > 95", 4, "97 %")
    site.rules.write_text(RULES.replace("load > 80 %", "load > 70 %"))
    expect(page.locator("#meanwhile")).to_contain_text("The rules were changed meanwhile (in the file). Your text is still here.")
    page.get_by_role("button", name="Show the difference").click()
    page.get_by_role("button", name="Drop mine, take the left side").click()
    expect(page.locator(".cm-line").filter(has_text="load > 70 %")).to_have_count(1)
    expect(page.locator("#meanwhile")).to_be_hidden()
    page.locator(".cm-content").first.press("Control+z")
    expect(page.locator(".cm-line").filter(has_text="load > 97 %")).to_have_count(1)
    close(page)


def test_the_last_hours_under_both_rules(browser: Browser, site: RuleSite) -> None:
    site.record(waves)
    page = open_page(browser, site)
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#comparison-told")).to_have_text("Nothing would have been different.")
    write(page, "when: load > 95", 4, "92 %")
    expect(page.locator("#comparison-line")).to_have_text("The rules were changed since: compare again.")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#comparison-told")).to_contain_text("changes of state")
    assert page.locator("#ribbons .differs").count() == 1
    assert page.locator("#ribbons rect.emergency").count() == 1
    assert page.locator("#ribbons rect.alert").count() > 4
    row = page.locator("#figures tbody tr").filter(has_text="overload").inner_text()
    assert "–" in row and "min" in row
    page.locator("#differences-fold summary").click()
    expect(page.locator("#differences tbody tr")).to_have_count(1)
    expect(page.locator("#differences")).to_contain_text("feeder load is 93 %")
    page.locator("#ribbons rect[tabindex='0']").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#ribbon-detail")).to_contain_text("saved: high")
    assert site.rules.read_text() == RULES, "comparing saves nothing"
    close(page)


def test_completion_and_explanation(browser: Browser, site: RuleSite) -> None:
    page = open_page(browser, site)

    def offers(line: str, typed: str, *options: str) -> None:
        """On a new line below `line`."""
        after(page, line)
        page.keyboard.press("Enter")
        page.keyboard.type(typed)
        page.keyboard.press("Control+Space")
        expect(page.locator(".cm-tooltip-autocomplete li")).to_have_text(list(options))
        page.keyboard.press("Escape")

    offers("unit:", "stale", "stale_after", "stale_pct")
    offers("when: load > 80", "severity: ", "alert", "emergency", "in_extremis", "normal", "restorative")
    offers("when: load > 95", "clear: lo", "load")
    offers("title: {en", "expression: 100 - lo", "load")
    offers("fallback:", "fallback: c", "calm")
    page.locator(".cm-line").filter(has_text="severity: emergency").locator("span").first.hover()
    expect(page.locator(".cm-tooltip-hover")).to_contain_text("Fink and Carlsen")
    close(page)


def test_everything_by_keyboard(browser: Browser, site: RuleSite) -> None:
    page = open_page(browser, site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen: list[str] = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate("document.activeElement.id || document.activeElement.getAttribute('href') || document.activeElement.getAttribute('aria-label') || ''")
        )
        if seen[-1] == "editor":
            page.keyboard.press("Control+End")
            page.keyboard.type("# by keyboard")
        if seen[-1] == "reason":
            page.keyboard.type("to show that it can be done")
            page.keyboard.press("Enter")
            expect(page.locator("#save-line")).to_have_text("Saved as version 2.")
        if seen[-1] == "Bring back 1":
            break
    assert [name for name in ("/", "language", "theme", "editor", "reason", "Bring back 1") if name not in seen] == []
    page.keyboard.press("Enter")
    expect(page.locator("#save-line")).to_have_text("Saved as version 3.")
    nameless = page.evaluate("""() => [...document.querySelectorAll('button, input, summary, [role=img], a, table')]
        .filter((node) => !node.closest('[hidden], dialog'))
        .filter((node) => !(node.getAttribute('aria-label') || node.textContent || node.labels?.[0]?.textContent).trim()).map((node) => node.outerHTML)""")
    assert nameless == []
    close(page)


def test_a_pack_is_made_ones_own(browser: Browser, tmp_path: Path) -> None:
    with RuleSite(tmp_path, "{pack: transmission}").running() as site:
        page = open_page(browser, site)
        expect(page.locator("#saved-line")).to_contain_text("gridtone's pack transmission")
        page.locator(".cm-content").first.press("x")
        page.get_by_role("button", name="Make it yours").click()
        expect(page.locator("#save-line")).to_have_text("Saved as version 2.")
        expect(page.locator("#pack-line")).to_be_hidden()
        page.locator(".cm-content").first.press("Control+Home")
        page.keyboard.type("# ours")
        page.keyboard.press("Enter")
        save(page, "a beginning")
        expect(page.locator("#save-line")).to_have_text("Saved as version 3.")
        until(lambda: site.saved()["in_force"])
        assert (site.data / "rules/transmission.yaml").read_text(encoding="utf-8").startswith("# ours\n")
        close(page)


def test_who_may_only_read_reads(browser: Browser, tmp_path: Path) -> None:
    site = RuleSite(tmp_path)
    site.data.mkdir()
    token = TokenFile(site.data).create("desk", "listener")
    with site.running():
        page = browser.new_page()
        page.goto(f"{site.url}/rules")
        expect(page.locator("#lost")).to_have_text("Sign in on the player's page first.")
        page.request.post(f"{site.url}/api/v1/session", data={"token": token})
        expect(page.locator("#read-only-line")).to_contain_text("To change them takes a token of the role editor")
        expect(page.locator(".cm-line").filter(has_text="when: load > 80 %")).to_have_count(1)
        expect(page.locator("#save-form")).to_be_hidden()
        expect(page.get_by_role("button", name="Bring back")).to_have_count(0)
        page.locator(".cm-content").first.press("x")
        assert page.locator(".cm-content").first.get_attribute("aria-readonly") == "true"
        page.close()


@pytest.mark.slow
def test_it_fits_a_phone_speaks_chinese_and_leaves_pictures(browser: Browser, site: RuleSite, tmp_path: Path) -> None:
    site.record(waves)
    for scheme, width, language, compare in (("dark", 1280, "en", "Compare"), ("light", 1280, "zh-CN", "与最近"), ("dark", 360, "en", "Compare")):
        page = open_page(browser, site, color_scheme=scheme, viewport={"width": width, "height": 800}, locale=language)  # type: ignore[arg-type]
        write(page, "when: load > 95", 4, "92 %")
        expect(page.locator("#check-line")).to_contain_text("1 signal, 3 states")
        page.get_by_role("button", name=compare).click()
        page.locator("#ribbons .differs").wait_for(state="attached")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / f"rules-{scheme}-{width}-{language}.png", full_page=True)
        close(page)
