"""Sampling: one loop for every way of running the model, so that torch and onnxruntime give the same music.

A `Stage` has seats for tracks. Each track stands at its own position, has its own random numbers and its own prompt, which may change on the way; when one is
finished, another takes its seat while the others play on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.undertone.conditions import Asked, Conditions, stack
from gridtone_engine.undertone.configs import CodecConfig, PriorConfig
from gridtone_engine.undertone.lead_sheet import SHEET_WIDTH, LeadSheet, beginning

READ_STEPS = 64
"""Of a lead sheet, at a time."""

Codes = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


class Steps(Protocol):
    """A prior with its memory, made once for a number of rows: a row for each seat, then, where music is guided, one for each seat that is told nothing."""

    def step(self, codes: Codes, condition: Floats, sheets: Floats, positions: Codes) -> Any:
        """Codes of the step before (rows, codebooks), what is asked for (rows, depth * width), the lead sheet (rows, frames around the step, SHEET_WIDTH)
        and where each row stands (rows,): logits (rows, codebooks, codes), an array where the model is.

        A row at position 0 has forgotten everything.
        """
        ...

    def choose(self, logits: Any, pushes: Doubles, temperatures: Doubles, draws: Doubles, top_p: float) -> Codes:
        """`choose` from what `guided` makes of the logits: (seats, codebooks)."""
        ...


class Synthesis(Protocol):
    """Sound from levels, of tracks of one length, stretch after stretch: `synthesis.Synthesis` and `torch_synthesis.TorchSynthesis`."""

    def play(self, levels: Floats) -> Floats:
        """Levels (tracks, spectra, numbers) to the audio that is complete with them, (tracks, 2, samples)."""
        ...

    def rest(self) -> Floats:
        """What is left after the last levels, (tracks, 2, samples)."""
        ...


class Model(Protocol):
    """Codec and prior together: `torch_model.TorchModel` and `onnx_model.OnnxModel`."""

    codec_config: CodecConfig
    prior_config: PriorConfig
    tracks_at_once: int
    """Where nobody says how many: a GPU is only fast with many."""

    def encode(self, audio: Floats) -> Codes:
        """Audio (batch, 2, samples) at the codec's rate to codes (batch, codebooks, frames)."""
        ...

    def decode(self, codes: Codes) -> Floats:
        """Codes (batch, codebooks, frames) to levels (batch, spectra, numbers)."""
        ...

    def condition(self, asked: Conditions) -> Floats:
        """(batch, depth * width)."""
        ...

    def steps(self, rows: int) -> Steps: ...

    def synthesis(self, tracks: int) -> Synthesis: ...


@dataclass(frozen=True, slots=True)
class Sampling:
    guidance: float = 5.0
    """How much further than without the prompt: 1 follows the model, more follows the prompt."""
    temperature: float = 0.9
    top_p: float = 1.0
    held_guidance: float = 1 / 8
    held_temperature: float = 2 / 3
    """Of what guidance adds and of the temperature, that is left while notes are only held: pushed as hard and drawn as freely as where they begin, a held
    note flutters, which is heard as notes that begin again."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """Of a lead sheet, for `READ_STEPS` steps."""

    first: int
    """Of those steps."""
    sheet: Floats
    """Frames from the first of those around the first step to the last of those around the last one, (frames, SHEET_WIDTH)."""
    held: NDArray[np.bool_]
    """Where no note begins in the frame that a codebook's code is of, (steps, codebooks)."""


@dataclass(slots=True)
class _Seat:
    rng: np.random.Generator
    prime: Codes
    """Frames that are given, (codebooks, frames)."""
    delayed: Codes
    """Codes of the last steps, one more than the longest delay, (steps, codebooks)."""
    sheet: LeadSheet
    pace: float
    """Beats a frame."""
    since: int = 0
    """The step at which this sheet was begun,"""
    origin: float = 0.0
    """at this beat of it; below 0 for what is continued."""
    position: int = 0
    read: _Reading | None = None

    @property
    def beats(self) -> float:
        """Of the sheet that were played."""
        return self.beats_at(self.position)

    def beats_at(self, position: Any) -> Any:
        return self.origin + (position - self.since) * self.pace


class Stage:
    """`seats` tracks, sampled together."""

    def __init__(self, model: Model, seats: int, sampling: Sampling) -> None:
        self.model, self.sampling = model, sampling
        self.guided = sampling.guidance != 1
        config, rows = model.prior_config, seats * (1 + self.guided)
        self._steps = model.steps(rows)
        self._around, self._delays = config.around, np.array(config.delays)
        self._books, self._nothing = np.arange(config.codebooks), config.codes
        self._seats: list[_Seat | None] = [None] * seats
        self._condition = np.zeros((rows, config.depth * config.width), np.float32)

    def seat(self, place: int, asked: Asked, seed: int, prime: Codes | None = None) -> None:
        """Begin a track. `prime` are codes (codebooks, frames) that it continues; they come out of `advance` first, and a bar begins after them."""
        given = np.zeros((len(self._books), 0), np.int64) if prime is None else prime
        nothing = np.full((self._delays.max() + 1, len(self._books)), self._nothing)
        pace = self._pace(asked.sheet)
        self._seats[place] = _Seat(np.random.default_rng(seed % 2**64), given, nothing, asked.sheet, pace, origin=-given.shape[1] * pace)
        self._tell(place, asked)

    def ask(self, place: int, asked: Asked) -> None:
        """Change what a track is asked for, from the next step on: it goes on in the bar that it is in, which becomes the first of the new sheet."""
        seat = self._seats[place]
        if seat is None:
            raise ValueError(f"nobody sits on seat {place}")
        seat.origin, seat.since = seat.beats % asked.sheet.bar_beats, seat.position
        seat.sheet, seat.pace, seat.read = asked.sheet, self._pace(asked.sheet), None
        self._tell(place, asked)

    def leave(self, place: int) -> None:
        self._seats[place] = None

    def advance(self) -> list[Codes | None]:
        """One step of every track: for each seat the frame (codebooks,) that was completed, None at an empty seat and in a track's first steps."""
        seats, rows = len(self._seats), len(self._condition)
        codes, positions = np.full((seats, len(self._books)), self._nothing), np.zeros(seats, np.int64)
        sheets = np.zeros((rows, len(self._around), SHEET_WIDTH), np.float32)
        held, draws = np.zeros((seats, len(self._books), 1), np.bool_), np.zeros((seats, len(self._books)))
        for place, seat in enumerate(self._seats):
            if seat:
                codes[place], positions[place] = seat.delayed[-1], seat.position
                sheets[place], held[place, :, 0] = self._read(seat)
                draws[place] = seat.rng.random(len(self._books))
        logits = self._steps.step(np.tile(codes, (rows // seats, 1)), self._condition, sheets, np.tile(positions, rows // seats))
        pushes = (self.sampling.guidance - 1) * np.where(held, self.sampling.held_guidance, 1)
        temperatures = self.sampling.temperature * np.where(held, self.sampling.held_temperature, 1)
        chosen = self._steps.choose(logits, pushes, temperatures, draws, self.sampling.top_p)
        return [self._take(seat, chosen[place]) if seat else None for place, seat in enumerate(self._seats)]

    def _tell(self, place: int, asked: Asked) -> None:
        told = asked.conditions
        self._condition[place :: len(self._seats)] = self.model.condition(stack([told, told.dropped()]) if self.guided else told)

    def _read(self, seat: _Seat) -> tuple[Floats, NDArray[np.bool_]]:
        """The sheet around a seat's step, (frames, SHEET_WIDTH), and for each codebook whether notes are only held, (codebooks,)."""
        if seat.read is None or seat.position == seat.read.first + READ_STEPS:
            sheet = seat.sheet.at(seat.beats_at(seat.position + np.arange(self._around[0], READ_STEPS + self._around[-1])))
            now = np.arange(READ_STEPS)[:, None] - self._around[0]
            seat.read = _Reading(seat.position, sheet, ~beginning(sheet)[now - self._delays])
        step = seat.position - seat.read.first
        return seat.read.sheet[step : step + len(self._around)], seat.read.held[step]

    def _take(self, seat: _Seat, chosen: Codes) -> Codes | None:
        frames = seat.position - self._delays
        step = np.where(frames < 0, self._nothing, chosen)
        given = np.flatnonzero((frames >= 0) & (frames < seat.prime.shape[1]))
        step[given] = seat.prime[given, frames[given]]
        seat.delayed = np.concatenate([seat.delayed[1:], step[None]])
        seat.position += 1
        return seat.delayed[self._delays - len(seat.delayed), self._books] if frames.min() >= 0 else None

    def _pace(self, sheet: LeadSheet) -> float:
        return sheet.tempo_bpm / 60 / self.model.codec_config.frame_rate


def guided(logits: Any, pushes: Any, temperatures: Any) -> Any:
    """Logits (rows, codebooks, codes) pushed away from what those who are told nothing say, and sharpened: (seats, codebooks, codes). `pushes` and
    `temperatures` are (seats, codebooks, 1), all of them numpy's arrays or all torch's tensors."""
    seats = len(pushes)
    asked = logits[:seats]
    if len(logits) > seats:
        asked = asked + pushes * (asked - logits[seats:])
    return asked / temperatures


def choose(logits: NDArray[np.floating], draws: Doubles, top_p: float = 1.0) -> Codes:
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
    """Levels (batch, spectra, numbers) of frames `start` to `end` of codes (batch, codebooks, frames), decoded with as many frames around them as they depend
    on."""
    reach, spectra = model.codec_config.reach_frames, model.codec_config.frame_hops
    first, last = max(0, start - reach), min(codes.shape[2], end + reach)
    return model.decode(codes[:, :, first:last])[:, (start - first) * spectra : (end - first) * spectra]


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
