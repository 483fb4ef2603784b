"""What an engine made of a prompt's text."""

from dataclasses import dataclass, field, fields, replace
from math import inf, isfinite

from gridtone_engine.prompt import INSTRUMENTS, Attributes, Prompt
from gridtone_engine.text.grammar import Claim, claims
from gridtone_engine.text.lexicon import lexicon
from gridtone_engine.text.moods import nearest_mood
from gridtone_engine.text.scan import Token, scan

LONGEST = 2000
"""Characters of a prompt's text that are read; the rest is reported as ignored."""
TONICS = ("C", "D", "F", "G", "A", "Bb")
"""Where music in an unnamed major or minor key stands: one of these, by the prompt's seed."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A stretch of the text and what it was taken to mean."""

    text: str
    start: int
    """Index of its first character in the prompt's text."""
    meaning: str
    """For a person: `tempo 60 bpm`, `not fast: tempo at most 84 bpm`, `mood: calm (0.71)`."""


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a text means, and how much of it was understood."""

    attributes: Attributes
    """What the text and the explicit attributes ask for together; fields that nobody spoke of are None."""
    understood: tuple[Phrase, ...] = ()
    ignored: tuple[str, ...] = ()
    """Stretches that carried no meaning that an engine could follow: reported, never silently dropped."""


@dataclass(slots=True)
class _Scores:
    """What was asked of one scale, by how it was asked; the first kind that was used decides."""

    numbers: list[float] = field(default_factory=list)
    words: list[float] = field(default_factory=list)
    moods: list[float] = field(default_factory=list)
    at_most: list[float] = field(default_factory=list)
    at_least: list[float] = field(default_factory=list)
    against_moods: list[float] = field(default_factory=list)
    """"not gloomy" brightens music that nothing else was said of; it does not overrule "calm"."""

    def value(self) -> float | None:
        """The mean of the strongest kind, kept within the bounds; a bound alone is the value."""
        low, high = max(self.at_least, default=-inf), min(self.at_most, default=inf)
        bounds = [bound for bound in (low, high) if isfinite(bound)]
        asked = self.numbers or self.words or self.moods or bounds or self.against_moods
        if not asked:
            return None
        if low > high:
            return (low + high) / 2
        return min(max(sum(asked) / len(asked), low), high)


class _Meaning:
    """Gathers what the claims of one text ask for."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.text = prompt.text
        self.scores = {scale: _Scores() for scale in lexicon().scales}
        self.key: str | None = None
        self.wanted: list[str] = []
        self.unwanted: list[str] = []
        self.understood: list[Phrase] = []
        self.ignored: list[str] = []

    def take(self, claim: Claim) -> None:
        meaning = self.meaning_of(claim)
        text = self.text[claim.start : claim.end]
        if meaning:
            self.understood.append(Phrase(text, claim.start, meaning))
        elif text.strip():
            self.ignored.append(text)

    def meaning_of(self, claim: Claim) -> str | None:
        """What this claim adds, in words; None if it cannot be followed."""
        token, negated = claim.token, claim.negated
        match token.kind:
            case "unknown" if not negated:
                text = self.text[claim.start : claim.end]
                nearest = nearest_mood(text) if any(map(str.isalpha, text)) else None
                if nearest:
                    self.add_mood(nearest.mood, 1.0)
                    return f"mood: {nearest.mood} ({nearest.score:.2f})"
            case "word" | "mood" if negated:
                return self.bound(token)
            case "word":
                for scale, value in token.values.items():
                    self.scores[scale].words.append(self.by_degree(scale, value, claim.degree))
                return ", ".join(f"{_label(scale)} {_value(scale, self.scores[scale].words[-1])}" for scale in token.values)
            case "mood":
                self.add_mood(token.name, claim.degree)
                return f"mood: {token.name}"
            case "instrument":
                (self.unwanted if negated else self.wanted).append(token.name)
                return f"without {token.name}" if negated else token.name
            case "unavailable" if negated:
                return f"without {token.name}, as always"
            case "given" if not negated:
                return token.name
            case "tempo" | "at_most" | "at_least" | "scale" if not negated:
                return self.number(claim)
            case "key" | "mode" if not negated:
                key = token.name if token.kind == "key" else f"{TONICS[self.prompt.seed % len(TONICS)]} {token.name}"
                self.key = self.key or key
                return f"key {key}" if key == self.key else None
        return None

    def by_degree(self, scale: str, value: float, degree: float) -> float:
        limits = lexicon().scales[scale]
        return limits.clip(limits.middle + degree * (value - limits.middle))

    def add_mood(self, mood: str, degree: float) -> None:
        for scale, value in lexicon().moods[mood].items():
            self.scores[scale].moods.append(self.by_degree(scale, value, degree))

    def bound(self, token: Token) -> str | None:
        """Turn a word round: what is clearly high becomes an upper bound, what is clearly low a lower one."""
        parts = []
        for scale, value in token.values.items():
            limits, scores = lexicon().scales[scale], self.scores[scale]
            if limits.at_most <= value <= limits.at_least:
                continue
            high = value > limits.at_least
            bound = limits.at_most if high else limits.at_least
            (scores.against_moods if token.kind == "mood" else scores.at_most if high else scores.at_least).append(bound)
            parts.append(f"{_label(scale)} at {'most' if high else 'least'} {_value(scale, bound)}")
        return f"not {token.name}: {', '.join(parts)}" if parts else None

    def number(self, claim: Claim) -> str:
        [(scale, asked)] = claim.token.values.items()
        limits = lexicon().scales[scale]
        value = limits.clip(asked)
        kind = claim.token.kind
        scores = self.scores[scale]
        (scores.at_most if kind == "at_most" else scores.at_least if kind == "at_least" else scores.numbers).append(value)
        bound = {"at_most": "at most ", "at_least": "at least "}.get(kind, "")
        outside = f" ({_value(scale, asked)} is outside {limits.lowest:g} to {limits.highest:g})" if value != asked else ""
        return f"{_label(scale)} {bound}{_value(scale, value)}{outside}"

    def attributes(self) -> Attributes:
        unwanted = tuple(name for name in INSTRUMENTS if name in self.unwanted)
        said = Attributes(
            **{scale: None if (value := scores.value()) is None else round(value, 3) for scale, scores in self.scores.items()},
            key=self.key,
            instruments=tuple(name for name in dict.fromkeys(self.wanted) if name not in unwanted),
            without=unwanted,
        )
        explicit = {field.name: value for field in fields(Attributes) if (value := getattr(self.prompt.attributes, field.name)) not in (None, ())}
        merged = replace(said, **explicit)
        return replace(
            merged,
            instruments=tuple(name for name in merged.instruments if "instruments" in explicit or name not in merged.without),
            without=tuple(name for name in merged.without if name not in explicit.get("instruments", ())),
        )


def _label(scale: str) -> str:
    return scale.removesuffix("_bpm")


def _value(scale: str, value: float) -> str:
    return f"{value:.4g} bpm" if scale == "tempo_bpm" else f"{value:.2g}"


def understand(prompt: Prompt) -> Understanding:
    """Read a prompt's text, in English, Chinese or both, into musical attributes.

    Numbers win over words, words over moods; within a kind the mean counts. The prompt's explicit attributes win over everything that the text says.
    Never fails for a text; what cannot be followed is in `ignored`. Deterministic. The sentence encoder is loaded only for wording that is not in the lexicon.
    """
    meaning = _Meaning(prompt)
    for claim in claims(scan(prompt.text[:LONGEST])):
        meaning.take(claim)
    if len(prompt.text) > LONGEST:
        meaning.ignored.append(f"everything after the first {LONGEST} characters ({len(prompt.text) - LONGEST} more)")
    return Understanding(meaning.attributes(), tuple(meaning.understood), tuple(meaning.ignored))
