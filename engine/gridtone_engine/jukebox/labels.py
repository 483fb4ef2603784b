"""Labels: artist, genres, timing and lyrics as the numbers that a prior reads.

There are two sets. **v2** (5b, 5b_lyrics, the upsamplers) splits a genre into words, five at most, and normalises names to letters, digits and
underscores. **v3** (1b_lyrics) has one genre, taken as it is in lower case. An unknown name is id 0. The names belong to the published models and come
with them: a label set is read from two files of lines `name;id`.
"""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gridtone_engine.engine import EngineError
from gridtone_engine.jukebox.configs import PriorConfig

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
CHARACTERS = {"v2": _LETTERS + ".,:;!?-+'\"()[] \t\n", "v3": _LETTERS + ".,:;!?-'\"()[] \t\n"}
"""Of lyrics; the first has id 1, and 0 fills the empty places."""


class LabelError(EngineError):
    """Labels that the model has no place for: the message says which, and what it has."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a piece is said to be. This, not free text, is what a Jukebox prior understands."""

    artist: str = "unknown"
    genre: str = "unknown"
    lyrics: str = ""
    """Sung, letter by letter: not a description."""
    total_seconds: float | None = None
    """Of the whole piece that the sampled stretch is part of; None: as short as the model allows."""
    offset_seconds: float = 0.0
    """Where in that piece the stretch begins."""


@dataclass(frozen=True, slots=True)
class LabelIds:
    """Labels in the numbers of one label set."""

    artist: int
    genres: tuple[int, ...]
    characters: tuple[int, ...]
    total_samples: int
    offset_samples: int
    unknown: tuple[str, ...] = ()
    """Names that the set does not have: the model hears id 0 instead."""


@dataclass(frozen=True, slots=True)
class LabelSet:
    version: str
    artists: dict[str, int]
    genres: dict[str, int]

    @classmethod
    def read(cls, version: str, artists: Path, genres: Path) -> "LabelSet":
        return cls(version, _read_ids(artists), _read_ids(genres))

    def encode(self, labels: Labels, config: PriorConfig, seconds: float) -> LabelIds:
        """`labels` of a stretch of `seconds` for one prior. Raises LabelError for too many genres and for a length outside the model's range."""
        if self.version == "v3":
            artist, genre_words = labels.artist.lower(), [labels.genre.lower()]
        else:
            artist, genre_words = _normalised(labels.artist), _normalised(labels.genre).split("_")
        if len(genre_words) > config.labels.genres_at_most:
            raise LabelError(f"{config.name} takes at most {config.labels.genres_at_most} genre words; {labels.genre!r} has {len(genre_words)}")
        shortest, longest = config.labels.shortest_seconds, config.labels.longest_seconds
        total = labels.total_seconds if labels.total_seconds is not None else max(shortest, labels.offset_seconds + seconds)
        if not shortest <= total < longest or labels.offset_seconds + seconds > total:
            raise LabelError(
                f"{config.name} knows pieces of {shortest:g} to {longest:g} s; {seconds:g} s from {labels.offset_seconds:g} s of {total:g} s does not fit"
            )
        genres = tuple(self.genres.get(word, 0) for word in genre_words)
        unknown = [name for name, known in [(artist, self.artists), *((word, self.genres) for word in genre_words)] if name not in known and name != "unknown"]
        return LabelIds(
            artist=self.artists.get(artist, 0),
            genres=genres + (-1,) * (config.labels.genres_at_most - len(genres)),
            characters=lyric_characters(labels.lyrics, self.version),
            total_samples=round(total * config.sample_rate),
            offset_samples=round(labels.offset_seconds * config.sample_rate),
            unknown=tuple(unknown),
        )


def _read_ids(path: Path) -> dict[str, int]:
    pairs = (line.rsplit(";", 1) for line in path.read_text("utf-8").splitlines() if line.strip())
    return {name: int(number) for name, number in pairs}


def _normalised(name: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "_", name.lower()).strip("_")


def lyric_characters(text: str, version: str) -> tuple[int, ...]:
    """Ids of the characters that the set has, accents stripped, the rest left out."""
    known = CHARACTERS[version]
    plain = unicodedata.normalize("NFKD", text.replace("\\", "\n"))
    return tuple(known.index(character) + 1 for character in plain if character in known)


def characters_heard(characters: tuple[int, ...], wanted: int, ids: LabelIds, offset: int, length: int) -> tuple[int, ...]:
    """The `wanted` characters around the middle of a window of `length` samples at `offset`, if lyrics are sung evenly over the piece.

    Fewer than wanted are filled up with 0 in front.
    """
    if len(characters) < wanted:
        return (0,) * (wanted - len(characters)) + characters
    middle = int(len(characters) * (offset + length / 2) / ids.total_samples)
    middle = min(max(middle, wanted // 2), len(characters) - wanted // 2)
    return characters[middle - wanted // 2 : middle + wanted // 2]


def label_vector(config: PriorConfig, ids: LabelIds, start: int) -> Tensor:
    """What a prior is told about the window whose first code is number `start`: (1, 4 + genres + characters), in samples and ids.

    In this order: total length, offset, window length, artist, genres (-1: none), lyric characters.
    """
    length = config.codes_context * config.hop
    offset = ids.offset_samples + start * config.hop
    characters = characters_heard(ids.characters, config.lyrics.characters, ids, offset, length) if config.lyrics else ()
    return torch.tensor([[ids.total_samples, offset, length, ids.artist, *ids.genres, *characters]])
