"""The music that undertone learns from: written and played by the composer, each piece made anew from its number, with captions that are true of it.

Nothing is carried or fetched: `make(number)` gives the same piece everywhere, and pieces of `held_out` share no seed, no timbre and no phrasing with training.
`write_shards` keeps rendered pieces on disk, 16 bits a sample, so that a slow machine does not render them twice; `Shards` reads them without loading them.

A user's own recordings are cut into such pieces as well: `find_recordings`, `cut`. Of those is known what their captions say, and no lead sheet.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from gridtone_engine.composer import compose, render
from gridtone_engine.composer.harmony import TONICS
from gridtone_engine.prompt import Attributes, Prompt
from gridtone_engine.text import understand
from gridtone_engine.undertone import timbres
from gridtone_engine.undertone.captions import LANGUAGES, caption
from gridtone_engine.undertone.engine import stereo
from gridtone_engine.undertone.lead_sheet import SILENT, Sheet, sheet_of

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
    """What is really played, every field filled; of a recording, what its caption says."""
    said: Attributes
    """What the caption says of it."""
    caption: str
    language: str
    """Of the caption; empty for a recording's."""
    family: str
    """Of timbres, or `recording`."""
    honest: tuple[str, ...]
    """Instruments that play and sound like their names."""
    sheet: Sheet
    """That it was played from."""
    first_beat: float
    """Of the sheet, where it begins."""


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
    honest = tuple(name for name in score.attributes.instruments if name in sounding and name in timbres.HONEST_NAMES[family])
    text, said = caption(score.attributes, honest, language, rng, held_out=split == "held_out")
    first_beat = start / SAMPLE_RATE * score.tempo_bpm / 60
    return Piece(samples[:, start : start + frames], score.attributes, said, text, language, family, honest, sheet_of(score), first_beat)


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
    sheet = {"honest": piece.honest, "sheet": piece.sheet.described, "first_beat": piece.first_beat}
    return {"played": asdict(piece.played), "said": asdict(piece.said), **words, **sheet}


def attributes(record: dict[str, Any]) -> Attributes:
    """Attributes as `describe` wrote them."""
    return Attributes(**{**record, "instruments": tuple(record["instruments"]), "without": tuple(record["without"])})


@dataclass(frozen=True, slots=True)
class Recording:
    """A user's own."""

    path: Path
    caption: str
    said: Attributes
    ignored: tuple[str, ...]
    """Of the caption, what was not understood."""


def find_recordings(folder: Path, seconds: float) -> tuple[list[Recording], list[str]]:
    """The recordings in a folder and its folders that last `seconds` at least, by name; and what is wrong with each other file, for a person."""
    found, wrong = [], []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() != ".txt" and not path.name.startswith("."):
            try:
                found.append(_recording(path, seconds))
            except (OSError, ValueError, TypeError, soundfile.LibsndfileError) as error:  # TypeError: a raw file, whose rate nobody knows
                wrong.append(left_out(path, error))
    return found, wrong


def left_out(path: Path, error: Exception) -> str:
    if isinstance(error, TypeError):
        what = "raw samples do not say their rate. Save it as WAV or FLAC."
    elif isinstance(error, soundfile.LibsndfileError):
        what = f"{error} Save it as WAV or FLAC, if it is music."
    else:
        what = str(error)
    return f"{path} is left out: {what}"


def _recording(path: Path, seconds: float) -> Recording:
    info = soundfile.info(path)
    if info.frames < ceil(seconds * info.samplerate):
        raise ValueError(f"it lasts {info.duration:.1f} s, less than a piece of {seconds:g} s. Join it to another, or shorten corpus.seconds in the recipe.")
    beside = path.with_suffix(".txt")
    try:
        text = " ".join(beside.read_text("utf-8-sig").split()) if beside.exists() else ""
    except UnicodeDecodeError as error:
        raise ValueError(f"its caption {beside.name} is not UTF-8. Save it as UTF-8.") from error
    readings = [understand(Prompt(text, seed=seed)) for seed in range(2)]
    keys = {reading.attributes.key for reading in readings}  # of a mode without a tonic the seed chooses one, which is not the recording's
    return Recording(path, text, replace(readings[0].attributes, key=keys.pop() if len(keys) == 1 else None), readings[0].ignored)


def held_apart(recordings: Sequence[Recording], share: float, seed: int) -> tuple[list[Recording], list[Recording]]:
    """Those to train on, and a `share` to judge by, one at least."""
    order = np.random.default_rng(seed).permutation(len(recordings))
    judged = set(order[: max(1, round(share * len(recordings)))].tolist())
    return [one for number, one in enumerate(recordings) if number not in judged], [recordings[number] for number in sorted(judged)]


def cut(recordings: Sequence[Recording], folder: Path, seconds: float, split: Split, wrong: list[str]) -> Iterator[int]:
    """Cut recordings into pieces of `seconds` in `folder`, a shard each, from the beginning to the end: the last pieces may overlap. Yields how many are done;
    shards that are there stay. What cannot be read is added to `wrong`.

    Raises ValueError if the folder holds pieces of something else.
    """
    claim(folder, seconds, split, recordings=recordings)
    for number, recording in enumerate(recordings):
        path = folder / f"recording_{number:05}.npy"
        if not path.exists():
            try:
                _save(path, _pieces(recording, seconds))
            except (OSError, ValueError, soundfile.LibsndfileError) as error:
                wrong.append(left_out(recording.path, error))
        yield number + 1


def _pieces(recording: Recording, seconds: float) -> Iterator[Piece]:
    with soundfile.SoundFile(recording.path) as file:
        taken = ceil(seconds * file.samplerate)
        for start in np.linspace(0, file.frames - taken, ceil(file.frames / taken)).round():
            file.seek(int(start))
            samples = file.read(taken, dtype="float32", always_2d=True)
            if len(samples) < taken or not np.isfinite(samples).all():
                raise ValueError(f"it cannot be read from {start / file.samplerate:.0f} s on. Save it anew.")
            heard = np.clip(stereo(samples, file.samplerate, SAMPLE_RATE)[:, : round(seconds * SAMPLE_RATE)], -1, 1)
            yield Piece(heard, recording.said, recording.said, recording.caption, "", "recording", recording.said.instruments, SILENT, 0.0)


def claim(folder: Path, seconds: float, split: Split, *, unseen_timbres: bool = False, recordings: Sequence[Recording] = ()) -> None:
    """Write down of what corpus a folder holds pieces. Raises ValueError if it is another one."""
    description: dict[str, Any] = {
        "seconds": seconds,
        "split": split,
        "unseen_timbres": unseen_timbres,
        "sample_rate": SAMPLE_RATE,
        "shard_pieces": SHARD_PIECES,
    }
    if recordings:
        description["recordings"] = [[recording.path.name, recording.caption] for recording in recordings]
    record = folder / "corpus.json"
    if not claimed(record, description):
        raise ValueError(f"{folder} holds another corpus, the one that {record.name} in it describes; choose another --folder")


def claimed(record: Path, description: dict[str, Any]) -> bool:
    """Write down in `record` what its folder holds. False if something else is written there already, which stays."""
    if record.exists():
        return bool(json.loads(record.read_text("utf-8")) == description)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")
    return True


def write_shards(
    folder: Path,
    pieces: int,
    seconds: float,
    split: Split = "train",
    *,
    unseen_timbres: bool = False,
    processes: int = 1,
    recordings: Sequence[Recording] = (),
) -> Iterator[int]:
    """Render `pieces` pieces into `folder`, shard by shard, with `processes` processes. Yields how many are there; shards that are there stay.

    `recordings` are those that `cut` put into the same folder. Raises ValueError if the folder holds pieces of another length or split, or other recordings.
    """
    claim(folder, seconds, split, unseen_timbres=unseen_timbres, recordings=recordings)
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
    numbers = range(number * SHARD_PIECES, (number + 1) * SHARD_PIECES)
    _save(_shard(folder, number), (make(piece, seconds, split, unseen_timbres=unseen_timbres) for piece in numbers))


def _save(path: Path, pieces: Iterable[Piece]) -> None:
    lines, samples = [], []
    for piece in pieces:
        lines.append(json.dumps(describe(piece), ensure_ascii=False) + "\n")
        samples.append(np.round(piece.samples * 32767).astype(np.int16))
    path.with_suffix(".jsonl").write_text("".join(lines), encoding="utf-8")
    partial_file = path.with_suffix(".part")
    with partial_file.open("wb") as stream:
        np.save(stream, np.stack(samples))
    partial_file.replace(path)


class Shards:
    """Pieces on disk, memory-mapped: (2, frames) each; those of recordings come first."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError, saying how to make them, where there are none."""
        cut, rendered = (sorted(folder.glob(f"{name}_*.npy")) for name in ("recording", "shard"))
        self.paths = cut + rendered
        if not self.paths:
            raise FileNotFoundError(f"{folder} holds no music; make it: gridtone train corpus")
        self.seconds = float(json.loads((folder / "corpus.json").read_text("utf-8"))["seconds"])
        self._pieces = [piece for path in self.paths for piece in np.load(path, mmap_mode="r")]
        self.recorded = len(self._pieces) - SHARD_PIECES * len(rendered)

    def __len__(self) -> int:
        return len(self._pieces)

    def draw(self, count: int, composed: float, rng: np.random.Generator) -> NDArray[np.int64]:
        """Numbers of pieces for a batch; where there are both recordings and the composer's pieces, a share `composed` of the composer's."""
        if self.recorded in (0, len(self)):
            return rng.integers(len(self), size=count)
        return np.where(rng.random(count) < composed, rng.integers(self.recorded, len(self), size=count), rng.integers(self.recorded, size=count))

    def samples(self, number: int, start: int = 0, frames: int | None = None) -> Samples:
        """A stretch of piece `number`, float32 (2, frames)."""
        stretch = self._pieces[number][:, start : None if frames is None else start + frames]
        return np.asarray(stretch, dtype=np.float32) / np.float32(32767)

    def records(self) -> Sequence[dict[str, Any]]:
        """What `describe` says of every piece, in order."""
        return [json.loads(line) for path in self.paths for line in path.with_suffix(".jsonl").read_text("utf-8").splitlines()]
