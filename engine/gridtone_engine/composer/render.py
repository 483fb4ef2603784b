"""From a score to sound: tones are mixed into two buses, the room is added, then the master is balanced.

notes -> tones -> near bus (bass, percussion; mono) ------------------+
              \\-> hall bus (all else; stereo) -> reverb -> + -> tilt EQ -> levelling -> fades -> samples
"""

from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.composer import master
from gridtone_engine.composer.instruments import INSTRUMENTS, Instrument, tone
from gridtone_engine.composer.orchestra import stream
from gridtone_engine.composer.reverb import convolve_in_place, hall
from gridtone_engine.composer.score import KICK, Note, Score

Samples = NDArray[np.float32]
ROLE_DB = {"pad": -7.0, "bass": -4.0, "figure": -5.0, "melody": -3.0, "answer": -6.0, "percussion": -8.0}
JITTER_SECONDS = 0.005


class CancelledError(Exception):
    """Rendering was called off."""


def render(
    score: Score,
    sample_rate: int = 48_000,
    *,
    instruments: Mapping[str, Instrument] = INSTRUMENTS,
    progress: Callable[[float], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Samples:
    """Play a score on `instruments`: float32 of shape (2, frames), exactly `score.seconds` long, about -23 LUFS, peaks below 0.7. Raises CancelledError soon
    after `cancelled()` turns true."""
    frames = round(score.seconds * sample_rate)
    hall_bus, near_bus = np.zeros((2, frames), np.float32), np.zeros(frames, np.float32)
    groups = _tones_needed(score)
    rng = stream(score.seed, "touch")
    for done, ((instrument, pitch, hardness, role), notes) in enumerate(groups):
        if cancelled():
            raise CancelledError
        _mix(hall_bus, near_bus, instrument, instruments[instrument], pitch, hardness, role, notes, score, sample_rate, rng)
        progress(0.8 * (done + 1) / len(groups))
    convolve_in_place(hall_bus, hall(sample_rate))
    if cancelled():
        raise CancelledError
    hall_bus += near_bus
    del near_bus
    master.balance(hall_bus, sample_rate, score.attributes.brightness or 0.0)
    master.level(hall_bus, sample_rate)
    master.fade(hall_bus, sample_rate, score.bar_seconds)
    progress(1.0)
    return hall_bus


def _tones_needed(score: Score) -> list[tuple[tuple[str, int, int, str], list[Note]]]:
    """Notes grouped by the tone that plays them, so that each tone is made once and dropped: instrument, pitch, hardness 0 to 2, role."""
    groups: dict[tuple[str, int, int, str], list[Note]] = defaultdict(list)
    for part in score.parts:
        for note in part.notes:
            groups[(part.instrument, note.pitch, int(np.clip(note.velocity * 4 - 0.8, 0, 2)), part.role)].append(note)
    return sorted(groups.items())


def _mix(
    hall_bus: Samples,
    near_bus: Samples,
    name: str,
    instrument: Instrument,
    pitch: int,
    hardness: int,
    role: str,
    notes: list[Note],
    score: Score,
    sample_rate: int,
    rng: np.random.Generator,
) -> None:
    """Play all notes of one tone into the buses."""
    beat_seconds = 60 / score.tempo_bpm
    longest = max(note.beats for note in notes) * beat_seconds + instrument.release_seconds
    played = tone(instrument, pitch, longest, hardness / 2, sample_rate)
    near = role == "bass" or (name == "soft percussion" and pitch == KICK)
    gain = 10 ** ((instrument.gain_db + ROLE_DB[role]) / 20)
    pan = np.clip(instrument.pan + (pitch - 64) / 60 * (0.5 if instrument.spread else 0.0), -0.8, 0.8)
    angle = (pan + 1) * np.pi / 4
    sides = (np.cos(angle) * np.sqrt(2), np.sin(angle) * np.sqrt(2))
    attack = max(1, int(instrument.attack_seconds * sample_rate))
    release = max(1, int(instrument.release_seconds * sample_rate))
    rise = (0.5 - 0.5 * np.cos(np.pi * np.arange(attack) / attack)).astype(np.float32)
    fall = (0.5 + 0.5 * np.cos(np.pi * np.arange(release) / release)).astype(np.float32)
    for note in notes:
        touch = float(np.clip(rng.normal(0, JITTER_SECONDS), -0.012, 0.012))
        touch -= 0.5 * instrument.attack_seconds  # slow attacks set in ahead, to speak on the beat
        start = round(max(0.0, note.start * beat_seconds + touch) * sample_rate)
        length = min(int(note.beats * beat_seconds * sample_rate) + release, played.shape[1])
        sound = played[:, :length] * np.float32(gain * note.velocity)
        rising = min(attack, length)
        sound[:, :rising] *= rise[:rising]
        falling = min(release, length)
        sound[:, length - falling :] *= fall[release - falling :]
        sound = sound[:, : hall_bus.shape[1] - start]
        end = start + sound.shape[1]
        if near:
            near_bus[start:end] += sound.mean(axis=0)
        else:
            for channel, side in enumerate(sides):
                hall_bus[channel, start:end] += sound[channel % len(sound)] * np.float32(side)
