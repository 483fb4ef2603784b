"""A file checked: rules, their tests, or a site."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gridtone.config import Site, load_site
from gridtone.documents import Document, Place, Problem, Wrong, read_document
from gridtone.proving.cases import load_suite
from gridtone.proving.doubts import doubts, engine_doubts, warning
from gridtone.proving.network_doubts import network_doubts
from gridtone.proving.room_doubts import alarm_doubts, masking_doubts
from gridtone.proving.sources import may_deliver
from gridtone.rules import Rules, load_rules


@dataclass(frozen=True, slots=True)
class Checked:
    """A good file."""

    found: str
    """What it is, in words."""
    warnings: tuple[Problem, ...] = ()
    """What is hardly meant."""


def check_file(path: Path) -> Checked:
    """Check a rules file, its tests or a site's file, told apart by their keys. Raises DocumentError with every problem."""
    document = read_document(path)
    keys = document.data.keys() if isinstance(document.data, dict) else set()
    if {"gridtone_tests", "tests"} & keys:
        return Checked(f"good tests: {len(load_suite(path).suite.tests)} of them")
    if {"gridtone", "states", "signals", "fallback"} & keys:
        rules = load_rules(path)
        return Checked(f"good rules: {size(rules)}", tuple(doubts(rules, document)))
    site = load_site(path, {})
    rules = site.load_rules()
    return Checked(f"good site: {counted(len(site.adapters), 'adapter')}, {size(rules)}", tuple(_doubts_of_site(site, rules, document)))


def size(rules: Rules) -> str:
    return f"{counted(len(rules.signals), 'signal')}, {counted(len(rules.states), 'state')}"


def counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _doubts_of_site(site: Site, rules: Rules, document: Document) -> Iterator[Problem]:
    """Of the engines, the alarms and the network; of the rules where the site's author can mend them."""
    if not document.data:
        yield warning(document, Wrong("the file is empty", "as a site's it leaves every setting at its default; rules begin with `gridtone: 1`"))
    yield from (warning(document, doubt) for doubt in (*engine_doubts(site.engines), *alarm_doubts(site), *network_doubts(site, document.file.parent)))
    if isinstance(site.rules, Rules):
        yield from doubts_at_site(site, rules, document, ("rules",))
    elif file := site.rules_file():
        yield from doubts_at_site(site, rules, read_document(file))
    else:
        yield from _undelivered(site, rules, document)


def doubts_at_site(site: Site, rules: Rules, document: Document, at: Place = ()) -> Iterator[Problem]:
    """Warnings about rules that stand in `document` at `at` and are to run at `site`."""
    yield from doubts(rules, document, at, site.engines)
    yield from _undelivered(site, rules, document, at)
    yield from (warning(document, doubt, at) for doubt in masking_doubts(site.room, rules))


def _undelivered(site: Site, rules: Rules, document: Document, at: Place = ()) -> Iterator[Problem]:
    """Points that no adapter delivers."""
    for name, signal in rules.signals.items():
        if (
            site.adapters
            and signal.of
            and signal.absent is None
            and not any(may_deliver(adapter, pattern) for adapter in site.adapters for pattern in signal.of)
        ):
            points = ", ".join(f"`{pattern}`" for pattern in signal.of)
            message = f"no adapter delivers {points}, so the signal `{name}` stays unknown"
            yield warning(document, Wrong(message, "check `point` of the adapters' topics and queries", ("signals", name, "of")), at)
