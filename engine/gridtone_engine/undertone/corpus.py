"""The music that undertone learns from: written and played by the composer, each piece made anew from its number, with captions that are true of it.

Nothing is carried or fetched: `make(number)` gives the same piece everywhere, and pieces of `held_out` share no seed, no timbre and no phrasing with training.
`write_shards` keeps rendered pieces on disk, 16 bits a sample, so that a slow machine does not render them twice; `Shards` reads them without loading them.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.composer import compose, render
from gridtone_engine.composer.harmony import TONICS
from gridtone_engine.prompt import Attributes
from gridtone_engine.undertone import timbres
from gridtone_engine.undertone.captions import LANGUAGES, caption
from gridtone_engine.undertone.lead_sheet import Chords, chords_of

Samples = NDArray[np.float32]
Split = Literal["train", "held_out"]
SAMPLE_RATE = 32_000
SHARD_PIECES = 32
MODES, MODE_CHANCES = ("major", "minor", "dorian", "lydian", "mixolydian", "phrygian"), (0.3, 0.3, 0.15, 0.1, 0.1, 0.05)


@dataclass(frozen=True, slots=True)
class Piece:
    samples: Samples
    """Shape (2, frames) at SAMPLE_RATE."""
    played: Attributes
    """What is really played, every field filled."""
    said: Attributes
    """What the caption says of it."""
    caption: str
    language: str
    family: str
    """Of timbres."""
    bar_beats: int
    first_beat: float
    """How many beats after the beginning of the score it begins."""
    chords: Chords
    """In beats of the score."""


def make(number: int, seconds: float, split: Split = "train", *, unseen_timbres: bool = False) -> Piece:
    """Piece `number` of a split, exactly `seconds` long, from a longer one: it may begin and end anywhere. Deterministic.

    `unseen_timbres` plays a held-out piece in a family that training never hears.
    """
    if unseen_timbres and split == "train":
        raise ValueError("unseen timbres belong to the held-out split")
    rng = np.random.default_rng([number, split == "held_out", unseen_timbres])
    family = str(rng.choice(timbres.HELD_OUT if unseen_timbres else timbres.TRAINED))
    slack = 2 * 4 * 60 / 40  # two bars of the slowest music: the composer rounds to whole bars and fades the first and the last
    score = compose(_asked(rng), seconds + slack, int(rng.integers(2**62)))
    samples = _effects(render(score, SAMPLE_RATE, instruments=timbres.orchestra(family, rng)), rng)
    frames = round(seconds * SAMPLE_RATE)
    start = int(rng.integers(samples.shape[1] - frames + 1))
    language = str(rng.choice(LANGUAGES))
    sounding = {part.instrument for part in score.parts}
    nameable = tuple(name for name in score.attributes.instruments if name in sounding and name in timbres.HONEST_NAMES[family])
    text, said = caption(score.attributes, nameable, language, rng, held_out=split == "held_out")
    first_beat = start / SAMPLE_RATE * score.tempo_bpm / 60
    return Piece(samples[:, start : start + frames], score.attributes, said, text, language, family, score.beats_per_bar, first_beat, chords_of(score))


def _asked(rng: np.random.Generator) -> Attributes:
    """Every scale and key alike often; tempo, brightness and density lean on energy, as they do in music."""
    energy = float(rng.uniform(0, 1))

    def near(middle: float, deviation: float) -> float:
        return float(np.clip(rng.normal(middle, deviation), 0, 1))

    return Attributes(
        tempo_bpm=float(np.clip(50 + 90 * near(energy, 0.3) + rng.normal(0, 8), 40, 160)),
        key=f"{rng.choice(TONICS)} {rng.choice(MODES, p=MODE_CHANCES)}",
        energy=energy,
        brightness=near(0.25 + 0.5 * energy, 0.25),
        density=near(energy, 0.2),
    )


def _effects(samples: Samples, rng: np.random.Generator) -> Samples:
    """Width, drive, an echo and the level: what another mix would do without changing a caption's truth."""
    middle, side = samples.mean(axis=0), 0.5 * (samples[0] - samples[1])
    if rng.random() < 0.3:
        delay = int(rng.uniform(0.15, 0.5) * SAMPLE_RATE)
        for bus, gain in ((middle, 0.25), (side, 0.5)):
            bus[delay:] += np.float32(gain * rng.uniform(0.3, 1)) * bus[:-delay]
    side *= np.float32(rng.uniform(0.3, 1.4))
    mixed = np.stack([middle + side, middle - side])
    if rng.random() < 0.3:
        drive = np.float32(rng.uniform(1, 3))
        mixed = np.tanh(drive * mixed) / drive
    mixed *= np.float32(10 ** (rng.uniform(-6, 3) / 20))
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max()) / 0.98), dtype=np.float32)


def describe(piece: Piece) -> dict[str, Any]:
    """All of a piece but its sound, as JSON."""
    words = {"caption": piece.caption, "language": piece.language, "family": piece.family}
    sheet = {"bar_beats": piece.bar_beats, "first_beat": piece.first_beat, "chords": piece.chords.described()}
    return {"played": asdict(piece.played), "said": asdict(piece.said), **words, **sheet}


def attributes(record: dict[str, Any]) -> Attributes:
    """Attributes as `describe` wrote them."""
    return Attributes(**{**record, "instruments": tuple(record["instruments"]), "without": tuple(record["without"])})


def write_shards(folder: Path, pieces: int, seconds: float, split: Split = "train", *, unseen_timbres: bool = False, processes: int = 1) -> Iterator[int]:
    """Render `pieces` pieces into `folder`, shard by shard, with `processes` processes. Yields how many are there; shards that are there stay.

    Raises ValueError if the folder holds pieces of another length or split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = {"seconds": seconds, "split": split, "unseen_timbres": unseen_timbres, "sample_rate": SAMPLE_RATE, "shard_pieces": SHARD_PIECES}
    record = folder / "corpus.json"
    if record.exists() and json.loads(record.read_text("utf-8")) != description:
        raise ValueError(f"{folder} holds another corpus ({record.read_text('utf-8')}); name another folder, or remove this one")
    record.write_text(json.dumps(description), encoding="utf-8")
    wanted = range(-(-pieces // SHARD_PIECES))
    missing = [number for number in wanted if not _shard(folder, number).exists()]
    there = len(wanted) - len(missing)
    yield there * SHARD_PIECES
    write = partial(_write_shard, folder, seconds, split, unseen_timbres)
    if processes == 1:
        for number in missing:
            write(number)
            there += 1
            yield there * SHARD_PIECES
        return
    pool = ProcessPoolExecutor(processes)
    try:
        for _ in pool.map(write, missing):
            there += 1
            yield there * SHARD_PIECES
    finally:
        pool.shutdown(cancel_futures=True)  # whoever stops waits for the shards that are being written, not for all


def _shard(folder: Path, number: int) -> Path:
    return folder / f"shard_{number:05}.npy"


def _write_shard(folder: Path, seconds: float, split: Split, unseen_timbres: bool, number: int) -> None:
    made = [make(number * SHARD_PIECES + place, seconds, split, unseen_timbres=unseen_timbres) for place in range(SHARD_PIECES)]
    path = _shard(folder, number)
    lines = "".join(json.dumps(describe(piece), ensure_ascii=False) + "\n" for piece in made)
    path.with_suffix(".jsonl").write_text(lines, encoding="utf-8")
    partial_file = path.with_suffix(".part")
    with partial_file.open("wb") as stream:
        np.save(stream, np.stack([np.round(piece.samples * 32767) for piece in made]).astype(np.int16))
    partial_file.replace(path)


class Shards:
    """Rendered pieces on disk, memory-mapped: (2, frames) each."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError, saying how to make them, where there are none."""
        self.paths = sorted(folder.glob("shard_*.npy"))
        if not self.paths:
            raise FileNotFoundError(f"{folder} holds no rendered music; make it: gridtone train corpus")
        self.seconds = float(json.loads((folder / "corpus.json").read_text("utf-8"))["seconds"])
        self._samples = [np.load(path, mmap_mode="r") for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths) * SHARD_PIECES

    def samples(self, number: int, start: int = 0, frames: int | None = None) -> Samples:
        """A stretch of piece `number`, float32 (2, frames)."""
        stored = self._samples[number // SHARD_PIECES][number % SHARD_PIECES]
        stretch = stored[:, start : None if frames is None else start + frames]
        return np.asarray(stretch, dtype=np.float32) / np.float32(32767)

    def records(self) -> Sequence[dict[str, Any]]:
        """What `describe` says of every piece, in order."""
        return [json.loads(line) for path in self.paths for line in path.with_suffix(".jsonl").read_text("utf-8").splitlines()]
