"""The pages that follow from the code say what the code says."""

import re
import runpy
from pathlib import Path

import pytest

from gridtone.proving.check import check_file

DOCS = Path(__file__).parents[2] / "docs"


def test_generated_pages_are_up_to_date():
    pages = runpy.run_path(str(DOCS / "generate.py"))["pages"]()
    stale = [path.name for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    assert not stale, "run: python docs/generate.py"


def test_every_command_is_documented():
    from gridtone.cli import main

    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    for name, command in main.commands.items():
        assert f"`gridtone {name}" in text, name
        for option in command.params:
            assert all(name in text for name in option.opts if name.startswith("--")), (name, option.opts)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "docs/configuration.md"])
def test_the_examples_of_a_page_are_good(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```yaml\n# (\S+)[^\n]*\n(.*?)```", (DOCS.parent / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for name, text in reversed(blocks):
        Path(name).write_text(text.replace("/run/secrets", "secrets"), encoding="utf-8")
        if "rules.yaml" in text and not Path("rules.yaml").exists():
            Path("rules.yaml").write_text("gridtone: 1\nstates: {calm: {prompt: calm}}\nfallback: calm\n")
        assert not check_file(Path(name)).warnings


def test_links_between_pages_lead_somewhere():
    broken = [
        (page.name, target)
        for page in [*DOCS.glob("*.md"), *DOCS.parent.glob("*.md")]
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if not target.startswith("http") and not (page.parent / target).exists()
    ]
    assert not broken
