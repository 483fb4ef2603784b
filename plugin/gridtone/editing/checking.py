"""A text of rules checked, for an editor."""

import re
from pathlib import Path

from gridtone.config import Site
from gridtone.documents import Document, DocumentError, Problem
from gridtone.editing.views import Checked, Mark
from gridtone.proving.check import doubts_at_site, size
from gridtone.rules import Rules

WARNING = "warning: "


def check_text(text: str, file: Path, site: Site) -> Checked:
    """Errors, or what is hardly meant in the rules of this site. `file` is what they are read from."""
    lines = text.split("\n")
    try:
        document = Document(text, file)
        rules = document.validate(Rules)
    except DocumentError as error:
        return Checked(False, "", [_mark(problem, lines) for problem in error.problems])
    return Checked(True, size(rules), [_mark(problem, lines) for problem in doubts_at_site(site, rules, document)])


def _mark(problem: Problem, lines: list[str]) -> Mark:
    rest = lines[problem.line - 1][problem.column - 1 :] if problem.line <= len(lines) else ""
    named = re.search("`([^`]+)`", problem.message)
    stands_here = named is not None and rest.startswith(named[1])
    offending = named[1] if named and stands_here else _first_word(rest)
    meant = re.fullmatch("did you mean `([^`:]+)`\\?", problem.fix)
    return Mark(
        problem.line,
        problem.column,
        max(1, len(offending)),
        "warning" if problem.message.startswith(WARNING) else "error",
        problem.message.removeprefix(WARNING),
        problem.fix,
        meant[1] if meant and stands_here else None,
    )


def _first_word(text: str) -> str:
    found = re.match(r"""[^\s:,{}\[\]"']+|\S""", text)
    return found[0] if found else ""
