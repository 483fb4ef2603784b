"""The pages that follow from the code say what the code says."""

import runpy
from pathlib import Path

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
