"""Sampling: one loop for every way of running the model, so that torch and onnxruntime give the same music.

A `Stage` has seats for tracks. Each track stands at its own position, has its own random numbers and its own prompt, which may change on the way; when one is
finished, another takes its seat while the others play on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.undertone.conditions import Asked, Conditions, stack
from gridtone_engine.undertone.configs import CodecConfig, PriorConfig
from gridtone_engine.undertone.lead_sheet import SHEET_WIDTH, LeadSheet, beginning

HELD_GUIDANCE, HELD_TEMPERATURE = 1 / 8, 2 / 3
"""Of what guidance adds and of the temperature, that is left while notes are only held: pushed as hard and drawn as freely as where they begin, a held note
flutters, which is heard as notes that begin again."""

Codes = NDArray[np.int64]
Floats = NDArray[np.float32]


class Steps(Protocol):
    """A prior with its memory, made once for a number of rows."""

    def step(self, codes: Codes, condition: Floats, sheets: Floats, positions: Codes) -> Floats:
        """Codes of the step before (rows, codebooks), what is asked for (rows, depth * width), the lead sheet (rows, frames around the step, SHEET_WIDTH)
        and where each row stands (rows,): logits (rows, codebooks, codes).

        A row at position 0 has forgotten everything.
        """
        ...


class Model(Protocol):
    """Codec and prior together: `torch_model.TorchModel` and `onnx_model.OnnxModel`."""

    codec_config: CodecConfig
    prior_config: PriorConfig

    def encode(self, audio: Floats) -> Codes:
        """Audio (batch, 2, samples) at the codec's rate to codes (batch, codebooks, frames)."""
        ...

    def decode(self, codes: Codes) -> Floats:
        """Codes (batch, codebooks, frames) to levels (batch, spectra, numbers), for `synthesis.py`."""
        ...

    def condition(self, asked: Conditions) -> Floats:
        """(batch, depth * width)."""
        ...

    def steps(self, rows: int) -> Steps: ...


@dataclass(frozen=True, slots=True)
class Sampling:
    guidance: float = 5.0
    """How much further than without the prompt: 1 follows the model, more follows the prompt."""
    temperature: float = 0.9
    top_p: float = 1.0


@dataclass(slots=True)
class _Seat:
    rng: np.random.Generator
    prime: Codes
    """Frames that are given, (codebooks, frames)."""
    delayed: list[NDArray[np.int64]]
    """Codes of every step so far, (codebooks,) each; only the last few are kept."""
    sheet: LeadSheet
    beats: float
    """Of the sheet that were played; below 0 in what is continued."""
    position: int = 0


class Stage:
    """`seats` tracks, sampled together."""

    def __init__(self, model: Model, seats: int, sampling: Sampling) -> None:
        self.model, self.sampling = model, sampling
        self.guided = sampling.guidance != 1
        self._steps = model.steps(seats * (1 + self.guided))
        config, rows = model.prior_config, seats * (1 + self.guided)
        self._books, self._nothing, self._delays = config.codebooks, config.codes, config.delays
        self._seats: list[_Seat | None] = [None] * seats
        self._condition = np.zeros((rows, config.depth * config.width), np.float32)

    def seat(self, place: int, asked: Asked, seed: int, prime: Codes | None = None) -> None:
        """Begin a track. `prime` are codes (codebooks, frames) that it continues; they come out of `advance` first, and a bar begins after them."""
        given = np.zeros((self._books, 0), np.int64) if prime is None else prime
        beats = -given.shape[1] * self._beats_a_frame(asked.sheet)
        self._seats[place] = _Seat(np.random.default_rng(seed % 2**64), given, [np.full(self._books, self._nothing)], asked.sheet, beats)
        self._tell(place, asked)

    def ask(self, place: int, asked: Asked) -> None:
        """Change what a track is asked for, from the next step on: it goes on in the bar that it is in, which becomes the first of the new sheet."""
        seat = self._seats[place]
        if seat is None:
            raise ValueError(f"nobody sits on seat {place}")
        seat.sheet, seat.beats = asked.sheet, seat.beats % asked.sheet.bar_beats
        self._tell(place, asked)

    def _tell(self, place: int, asked: Asked) -> None:
        told = asked.conditions
        self._condition[place :: len(self._seats)] = self.model.condition(stack([told, told.dropped()]) if self.guided else told)

    def leave(self, place: int) -> None:
        self._seats[place] = None

    def advance(self) -> list[NDArray[np.int64] | None]:
        """One step of every track: for each seat the frame (codebooks,) that was completed, None at an empty seat and in a track's first steps."""
        empty = np.full(self._books, self._nothing)
        codes = np.stack([seat.delayed[-1] if seat else empty for seat in self._seats])
        positions = np.array([seat.position if seat else 0 for seat in self._seats])
        repeats = 1 + self.guided
        around = np.array(self.model.prior_config.around)
        sheets = np.zeros((len(self._condition), len(around), SHEET_WIDTH), np.float32)
        for place, seat in enumerate(self._seats):
            if seat:
                sheets[place] = seat.sheet.at(seat.beats + around * self._beats_a_frame(seat.sheet))
        logits = self._steps.step(np.tile(codes, (repeats, 1)), self._condition, sheets, np.tile(positions, repeats))
        held = ~beginning(sheets[: len(self._seats)])[:, -around[0] - np.array(self._delays), None]
        if self.guided:
            asked, unasked = np.split(logits, 2)
            logits = asked + (self.sampling.guidance - 1) * np.where(held, HELD_GUIDANCE, 1) * (asked - unasked)
        draws = np.stack([seat.rng.random(self._books) if seat else np.zeros(self._books) for seat in self._seats])
        chosen = choose(logits / (self.sampling.temperature * np.where(held, HELD_TEMPERATURE, 1)), draws, self.sampling.top_p)
        return [self._take(seat, chosen[place]) if seat else None for place, seat in enumerate(self._seats)]

    def _take(self, seat: _Seat, chosen: NDArray[np.int64]) -> NDArray[np.int64] | None:
        step, longest = chosen.copy(), max(self._delays)
        for book, steps in enumerate(self._delays):
            frame = seat.position - steps
            if frame < 0:
                step[book] = self._nothing
            elif frame < seat.prime.shape[1]:
                step[book] = seat.prime[book, frame]
        seat.position += 1
        seat.beats += self._beats_a_frame(seat.sheet)
        seat.delayed = [*seat.delayed, step][-1 - longest :]
        if seat.position <= longest:
            return None
        return np.array([seat.delayed[steps - 1 - longest][book] for book, steps in enumerate(self._delays)])

    def _beats_a_frame(self, sheet: LeadSheet) -> float:
        return sheet.tempo_bpm / 60 / self.model.codec_config.frame_rate


def choose(logits: NDArray[np.floating], draws: NDArray[np.float64], top_p: float = 1.0) -> Codes:
    """Sample from logits (..., codes) by numbers within [0, 1) (...): the likeliest codes whose chances add up to `top_p`."""
    order = np.argsort(-logits, axis=-1, kind="stable")
    sorted_logits = np.take_along_axis(logits, order, axis=-1).astype(np.float64)
    chances = np.exp(sorted_logits - sorted_logits[..., :1])
    chances /= chances.sum(axis=-1, keepdims=True)
    above = np.cumsum(chances, axis=-1) - chances
    chances[above >= top_p] = 0
    reached = np.cumsum(chances, axis=-1)
    place = (reached <= draws[..., None] * reached[..., -1:]).sum(axis=-1, keepdims=True)
    return np.take_along_axis(order, place, axis=-1)[..., 0]


def decode_stretch(model: Model, codes: Codes, start: int, end: int) -> Floats:
    """Levels (spectra, numbers) of frames `start` to `end` of codes (codebooks, frames), decoded with as many frames around them as they depend on."""
    reach, spectra = model.codec_config.reach_frames, model.codec_config.frame_hops
    first, last = max(0, start - reach), min(codes.shape[1], end + reach)
    return model.decode(codes[None, :, first:last])[0, (start - first) * spectra : (end - first) * spectra]


def sample_codes(model: Model, asked: Sequence[Asked], seeds: Sequence[int], frames: int, sampling: Sampling) -> Codes:
    """Codes (tracks, codebooks, frames) of tracks of one length, all at once."""
    stage = Stage(model, len(asked), sampling)
    for place, (one, seed) in enumerate(zip(asked, seeds, strict=True)):
        stage.seat(place, one, seed)
    found: list[Codes] = []
    while len(found) < frames:
        completed = stage.advance()
        if completed[0] is not None:
            found.append(np.stack([frame for frame in completed if frame is not None]))
    return np.stack(found, axis=-1)
