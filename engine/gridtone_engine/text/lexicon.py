"""The table of words, `lexicon.toml`, ready to be looked up."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

SCALES = ("tempo_bpm", "energy", "brightness", "density")
"""The attributes that are one number."""
SUFFIXES = ("s", "es", "ly", "er", "est")
"""English endings that leave the meaning as it is."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a word or phrase is."""

    kind: str
    """With a meaning: `word`, `mood`, `instrument`, `unavailable`, `given`; `scale_name` before a number.
    Grammar: `negation`, `after`, `not_negation`, `degree`, `filler`, `and`, `list`, `or`, `but`, `plain`."""
    name: str
    """What reports call it: `fast`, `calm`, `warm pad`."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Scale -> value, for words and moods; `degree` -> factor, for degrees."""

    @property
    def has_meaning(self) -> bool:
        return self.kind in ("word", "mood", "instrument", "unavailable", "given")

    @property
    def is_noun(self) -> bool:
        return self.kind in ("instrument", "unavailable")


@dataclass(frozen=True, slots=True)
class Scale:
    """The range of one attribute, and what "not high" and "not low" mean on it."""

    lowest: float
    at_most: float
    at_least: float
    highest: float

    @property
    def middle(self) -> float:
        return (self.at_most + self.at_least) / 2

    def clip(self, value: float) -> float:
        return min(max(value, self.lowest), self.highest)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Every phrase with its entry, and the moods as anchors for wording that is not in the table."""

    entries: Mapping[str, Entry]
    scales: Mapping[str, Scale]
    moods: Mapping[str, Mapping[str, float]]
    """Mood -> scale -> value."""
    anchors: Mapping[str, tuple[str, ...]]
    """Mood -> all its phrasings, in both languages."""
    moodless: tuple[str, ...]
    """Wording that has no mood."""
    longest_words: int
    longest_characters: int

    def look_up(self, phrase: str) -> tuple[Entry, bool] | None:
        """The entry of an English or Chinese phrase, lower case, single spaces; True beside it for `drumless`."""
        if entry := self.entries.get(phrase):
            return entry, False
        for suffix in (*SUFFIXES, "less"):
            entry = self.entries.get(phrase.removesuffix(suffix)) if phrase.endswith(suffix) else None
            if entry and entry.has_meaning:
                return entry, suffix == "less"
        return None


def _phrases(table: Mapping[str, Any]) -> Iterator[tuple[str, Entry]]:
    for kind in ("word", "mood"):
        for name, row in table[f"{kind}s"].items():
            values = {scale: row[scale] for scale in SCALES if scale in row}
            for phrase in row["en"] + row["zh"]:
                yield phrase, Entry(kind, name, values)
    for section, kind in {"instruments": "instrument", "unavailable": "unavailable", "given": "given", "scale_names": "scale_name", "connectors": ""}.items():
        for name, phrases in table[section].items():
            for phrase in phrases:
                yield phrase, Entry(kind or name, name)
    for factor, phrases in table["degrees"].items():
        for phrase in phrases:
            yield phrase, Entry("degree", phrase, {"degree": float(factor)})
    for section in ("negations", "not_negations", "fillers", "plain"):
        for phrase in table[section].get("en", []) + table[section]["zh"]:
            yield phrase, Entry(section.removesuffix("s"), phrase)
    for phrase in table["negations"]["after"]:
        yield phrase, Entry("after", phrase)


def build(table: Mapping[str, Any]) -> Lexicon:
    """Make a lexicon of the parsed TOML. Raises ValueError for a phrase that has two meanings."""
    entries: dict[str, Entry] = {}
    for phrase, entry in _phrases(table):
        if (other := entries.setdefault(phrase, entry)) is not entry:
            raise ValueError(f"lexicon.toml: {phrase!r} is listed twice, as {other.kind} {other.name!r} and as {entry.kind} {entry.name!r}; keep one of them")
    return Lexicon(
        entries=entries,
        scales={name: Scale(**limits) for name, limits in table["scales"].items()},
        moods={name: {scale: row[scale] for scale in SCALES if scale in row} for name, row in table["moods"].items()},
        anchors={name: tuple(row["en"] + row["zh"] + row["like"]) for name, row in table["moods"].items()},
        moodless=tuple(table["moodless"]["like"]),
        longest_words=max(phrase.count(" ") + 1 for phrase in entries),
        longest_characters=max(len(phrase) for phrase in entries if not phrase.isascii()),
    )


@cache
def lexicon() -> Lexicon:
    """The lexicon that comes with gridtone."""
    return build(tomllib.loads(files(__package__).joinpath("lexicon.toml").read_text(encoding="utf-8")))
