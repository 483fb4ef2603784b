"""What the trainers read: crops of audio for the codec; codes, conditions and sentence vectors for the prior. A batch follows from its number alone."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from gridtone_engine.prompt import Attributes
from gridtone_engine.text.moods import encoder
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.conditions import SENTENCE_WIDTH, Conditions, conditions, stack
from gridtone_engine.undertone.configs import Recipe
from gridtone_engine.undertone.corpus import SAMPLE_RATE, Shards, attributes
from gridtone_engine.undertone.lead_sheet import SHEET_WIDTH, described_sheet


class AudioCrops(Dataset[tuple[Tensor, ...]]):
    def __init__(self, shards: Shards, recipe: Recipe) -> None:
        self.shards, self.recipe = shards, recipe
        hop = recipe.codec.hop
        self.frames = round(min(recipe.train_codec.crop_seconds, shards.seconds) * SAMPLE_RATE) // hop * hop

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        """Audio (batch, 2, samples)."""
        rng = np.random.default_rng([self.recipe.seed, number])
        last = round(self.shards.seconds * SAMPLE_RATE) - self.frames
        chosen = zip(
            self.shards.draw(self.recipe.train_codec.batch, self.recipe.corpus.composed, rng),
            rng.integers(last + 1, size=self.recipe.train_codec.batch),
            strict=True,
        )
        return (torch.from_numpy(np.stack([self.shards.samples(int(piece), int(start), self.frames) for piece, start in chosen])),)


def encode_shards(shards: Shards, codec: Codec, path: Path) -> Iterator[float]:
    """Write the codes of all pieces to `path`, 16 bits each, (pieces, codebooks, frames). Yields the share done; does nothing if the file is there."""
    if path.exists():
        return
    device = codec.window.device
    found = []
    for number in range(len(shards)):
        with torch.inference_mode():
            codes = codec.encode(torch.from_numpy(shards.samples(number))[None].to(device))
        found.append(codes[0].cpu().numpy().astype(np.uint16))
        yield (number + 1) / len(shards)
    partial = path.with_suffix(f".{os.getpid()}.part")
    with partial.open("wb") as stream:
        np.save(stream, np.stack(found))
    partial.replace(path)


def sentence_vectors(shards: Shards, path: Path) -> NDArray[np.float32]:
    """Vectors of all captions, (pieces, 512), kept in `path` in 16 bits."""
    if path.exists() and len(stored := np.load(path)) == len(shards):
        return np.asarray(stored, np.float32)
    captions = [record["caption"] for record in shards.records()]
    vectors = np.zeros((len(captions), SENTENCE_WIDTH), np.float32)
    spoken = [number for number, caption in enumerate(captions) if caption]
    for start in range(0, len(spoken), 64):
        some = spoken[start : start + 64]
        vectors[some] = encoder()([captions[number] for number in some])
    kept = vectors.astype(np.float16)
    np.save(path, kept)
    return np.asarray(kept, np.float32)  # as whoever goes on will find them


class CodeCrops(Dataset[tuple[Tensor, ...]]):
    def __init__(self, shards: Shards, codes: NDArray[np.uint16], sentences: NDArray[np.float32], recipe: Recipe) -> None:
        self.shards, self.codes, self.recipe = shards, codes, recipe
        records = shards.records()
        self.asked = stack([conditions(told(record), vector) for record, vector in zip(records, sentences, strict=True)])
        self.sheets = [(described_sheet(record["sheet"]), record["first_beat"]) for record in records]

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        """Codes (batch, codebooks, frames), the parts of conditions of which some are dropped, and the lead sheet at every step and around, (batch, steps and
        more, SHEET_WIDTH). Small numbers, for the way to the device: codes and sheets in 16 bits."""
        recipe = self.recipe.train_prior
        rng = np.random.default_rng([self.recipe.seed, 1, number])
        pieces = self.shards.draw(recipe.batch, self.recipe.corpus.composed, rng)
        frames = min(recipe.crop_frames, self.codes.shape[2])
        starts = rng.integers(self.codes.shape[2] - frames + 1, size=recipe.batch)
        crops = np.stack([self.codes[piece, :, start : start + frames] for piece, start in zip(pieces, starts, strict=True)])
        asked, said = forget(self.asked.taken(pieces), recipe.unsaid, recipe.unsaid_each, rng)
        around = self.recipe.prior.around
        steps = np.arange(around[0], frames + max(self.recipe.prior.delays) + around[-1])
        sheets = np.zeros((recipe.batch, len(steps), SHEET_WIDTH), np.float16)
        for row in np.flatnonzero(said):
            sheets[row] = self._sheet(pieces[row], starts[row] + steps)
        return tuple(torch.from_numpy(part) for part in (crops.astype(np.int16), *asked.parts, sheets))

    def _sheet(self, piece: int, frames: NDArray[np.int64]) -> NDArray[np.float32]:
        sheet, first_beat = self.sheets[piece]
        return sheet.read(first_beat + frames / self.recipe.codec.frame_rate * sheet.tempo_bpm / 60)


def told(record: dict[str, Any]) -> Attributes:
    """What the prior is told of a piece: all that is known of it, so that every piece teaches every scale; of instruments, those that sound like it."""
    return replace(attributes(record["played"]), instruments=tuple(record["honest"]), without=attributes(record["said"]).without)


def forget(asked: Conditions, unsaid: float, unsaid_each: float, rng: np.random.Generator) -> tuple[Conditions, NDArray[np.bool_]]:
    """Drop all conditions of a track with the chance `unsaid`, and each by itself with `unsaid_each`. Also returns which tracks are told something at all,
    (rows, 1)."""
    rows = len(asked.steps)
    said = rng.random((rows, 1)) >= unsaid

    def kept(part: NDArray[Any], columns: int) -> NDArray[Any]:
        return part * ((rng.random((rows, columns)) >= unsaid_each) & said).astype(part.dtype)

    return Conditions(kept(asked.steps, asked.steps.shape[1]), kept(asked.instruments, 1), kept(asked.sentence, 1)), said
