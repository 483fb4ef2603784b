"""From a prompt's text to the labels that Jukebox knows, by a table that a site can edit, with a report of what found no label."""

import re
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gridtone_engine.engine import EngineError
from gridtone_engine.jukebox.labels import Labels
from gridtone_engine.prompt import Attributes
from gridtone_engine.text import Phrase, Understanding
from gridtone_engine.text.grammar import claims
from gridtone_engine.text.moods import nearest_mood
from gridtone_engine.text.scan import Token, scan

_DIRECT = re.compile(r"^[ \t]*(artist|genre|lyrics)[ \t]*[:：](.*)$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mood:
    """One rule: any of `words` asks for these genres."""

    words: tuple[str, ...]
    v3: str
    v2: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """Labels for each label set, and what was made of the text."""

    labels: dict[str, Labels]
    understanding: Understanding


def read_moods(path: Path | None = None) -> list[Mood]:
    """The rules in `path`, or our own. Raises EngineError with the place of what is wrong."""
    text = path.read_text("utf-8") if path else files(__package__).joinpath("moods.yaml").read_text("utf-8")
    try:
        return msgspec.convert(YAML(typ="safe").load(text), list[Mood])
    except (YAMLError, msgspec.ValidationError) as error:
        raise EngineError(f"{path or 'moods.yaml'}: {error}") from error


def map_prompt(text: str, attributes: Attributes, moods: list[Mood]) -> Mapped:
    """Lines `artist: …`, `genre: …` and `lyrics: …` (which takes all lines after it) are labels as they stand; the rest is looked up in `moods`."""
    said, prose, understood = _said_directly(text)
    found, ignored = _find(prose, moods)
    genres = {
        "v3": found[0][1].v3 if found else "unknown",
        "v2": " ".join(list(dict.fromkeys(word for _, mood in found for word in mood.v2.split()))[:5]) or "unknown",
    }
    labels = {
        version: Labels(artist=said.get("artist", "unknown"), genre=said.get("genre", genre), lyrics=said.get("lyrics", ""))
        for version, genre in genres.items()
    }
    understood += [Phrase(phrase.text, phrase.start, f"genre: {mood.v3} (v3), {mood.v2} (v2)") for phrase, mood in found]
    ignored += [f"{field.name}: {asked}" for field in fields(Attributes) if (asked := getattr(attributes, field.name)) not in (None, ())]
    return Mapped(labels, Understanding(Attributes(), tuple(sorted(understood, key=lambda phrase: phrase.start)), tuple(ignored)))


def _said_directly(text: str) -> tuple[dict[str, str], str, list[Phrase]]:
    """Labels that lines of the text give by name, the text with those lines blanked, and the lines as phrases."""
    said: dict[str, str] = {}
    phrases: list[Phrase] = []
    for match in _DIRECT.finditer(text):
        field, value = match[1].lower(), match[2]
        if field == "lyrics":
            value = text[match.start(2) :]
        said[field] = value.strip()
        phrases.append(Phrase(f"{match[1]}: {value.strip()}", match.start(), "lyrics, to be sung" if field == "lyrics" else f"{field}: {value.strip()}"))
        text = text[: match.start()] + " " * (match.start(2) - match.start() + len(value)) + text[match.start(2) + len(value) :]
        if field == "lyrics":
            break
    return said, text, phrases


def _find(text: str, moods: list[Mood]) -> tuple[list[tuple[Phrase, Mood]], list[str]]:
    """Stretches of the text with the rule for each, and those without a rule. What is negated has none: Jukebox cannot be told what not to play."""
    rules = {word.lower(): mood for mood in reversed(moods) for word in mood.words}
    found, ignored = [], []
    for claim in claims(scan(text)):
        stretch = text[claim.start : claim.end]
        mood = None if claim.negated else _rule(stretch, claim.token, rules)
        if mood:
            found.append((Phrase(stretch, claim.start, ""), mood))
        elif stretch.strip():
            ignored.append(stretch)
    return found, ignored


def _rule(stretch: str, token: Token, rules: dict[str, Mood]) -> Mood | None:
    """By a word of the table, the longest first; by what gridtone's own lexicon calls the word; or by the mood that the wording resembles."""
    for word in sorted(rules, key=len, reverse=True):
        pattern = rf"(?<![a-z]){re.escape(word)}(?![a-z])" if word.isascii() else re.escape(word)
        if re.search(pattern, stretch.lower()):
            return rules[word]
    if token.kind == "unknown":
        nearest = nearest_mood(stretch) if any(map(str.isalpha, stretch)) else None
        return rules.get(nearest.mood) if nearest else None
    return rules.get(token.name)
