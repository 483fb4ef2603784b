"""What the trainers read: crops of audio for the codec; codes, conditions and sentence vectors for the prior. A step's batch follows from its number alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gridtone_engine.prompt import Attributes
from gridtone_engine.text.moods import encoder
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.conditions import SENTENCE_WIDTH, Conditions, clock, conditions, stack
from gridtone_engine.undertone.configs import Recipe
from gridtone_engine.undertone.corpus import SAMPLE_RATE, Shards, attributes


class AudioCrops:
    def __init__(self, shards: Shards, recipe: Recipe) -> None:
        self.shards, self.recipe = shards, recipe
        hop = recipe.codec.hop
        self.frames = round(recipe.train_codec.crop_seconds * SAMPLE_RATE) // hop * hop

    def batch(self, step: int) -> Tensor:
        """(batch, 2, samples)."""
        rng = np.random.default_rng([self.recipe.seed, step])
        last = round(self.shards.seconds * SAMPLE_RATE) - self.frames
        chosen = zip(
            rng.integers(len(self.shards), size=self.recipe.train_codec.batch),
            rng.integers(last + 1, size=self.recipe.train_codec.batch),
            strict=True,
        )
        return torch.from_numpy(np.stack([self.shards.samples(int(piece), int(start), self.frames) for piece, start in chosen]))


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
    partial = path.with_suffix(".part")
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
    np.save(path, vectors.astype(np.float16))
    return vectors


class CodeCrops:
    def __init__(self, shards: Shards, codes: NDArray[np.uint16], sentences: NDArray[np.float32], recipe: Recipe) -> None:
        self.codes, self.recipe = codes, recipe
        records = shards.records()
        self.asked = stack([conditions(told(record), vector, record["bar_beats"]) for record, vector in zip(records, sentences, strict=True)])
        self.first_bar_seconds = np.array([record["first_bar_seconds"] for record in records])

    def batch(self, step: int) -> tuple[Tensor, Conditions, Tensor]:
        """Codes (batch, codebooks, frames), conditions of which some are dropped, and the clock of every step, (batch, steps, CLOCK_WIDTH)."""
        recipe = self.recipe.train_prior
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        pieces = rng.integers(len(self.codes), size=recipe.batch)
        frames = min(recipe.crop_frames, self.codes.shape[2])
        starts = rng.integers(self.codes.shape[2] - frames + 1, size=recipe.batch)
        crops = np.stack([self.codes[piece, :, start : start + frames] for piece, start in zip(pieces, starts, strict=True)])
        asked = forget(self.asked.taken(pieces), recipe.unsaid, recipe.unsaid_each, rng)
        steps = frames + max(self.recipe.prior.delays)
        seconds = (starts[:, None] + np.arange(steps)) / self.recipe.codec.frame_rate - self.first_bar_seconds[pieces, None]
        pulse = asked.pulse[:, None]
        return torch.from_numpy(crops.astype(np.int64)), asked, torch.from_numpy(clock(seconds * pulse[..., 0] / 60, pulse))


def told(record: dict[str, Any]) -> Attributes:
    """What the prior is told of a piece: all that is known of it, so that every piece teaches every scale; of instruments, those that its caption names: the
    others may not sound like their names."""
    played, said = attributes(record["played"]), attributes(record["said"])
    return replace(played, instruments=said.instruments, without=said.without)


def forget(asked: Conditions, unsaid: float, unsaid_each: float, rng: np.random.Generator) -> Conditions:
    """Drop all conditions of a track with the chance `unsaid`, and each but the beat by itself with `unsaid_each`."""
    rows = len(asked.steps)

    def kept(columns: int) -> NDArray[np.bool_]:
        return (rng.random((rows, columns)) >= unsaid_each) & whole

    whole = rng.random((rows, 1)) >= unsaid
    steps, instruments, sentence = (part * kept(columns).astype(part.dtype) for part, columns in zip(asked.parts, (asked.steps.shape[1], 1, 1), strict=False))
    return Conditions(steps, instruments, sentence, asked.pulse * whole)
