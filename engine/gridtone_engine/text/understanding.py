"""What an engine made of a prompt's text."""

from dataclasses import dataclass

from gridtone_engine.prompt import Attributes


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
