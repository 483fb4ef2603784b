"""What an alarm sounds like over the music that comes closest to masking it: for ears, beside the report's figures."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from gridtone.room.audit import Audit, Excerpt
from gridtone.room.audit_inputs import Sound

BEGINS_SECONDS = 3.0
"""The music is heard alone for so long."""
PEAK = 10 ** (-1 / 20)


def mixed(alarm: Sound, alarm_offset_db: float, excerpt: Excerpt) -> NDArray[np.float32]:
    """Both at the room's levels to each other, (2, frames) at the excerpt's rate, as loud as a file can hold."""
    divisor = np.gcd(excerpt.sample_rate, alarm.sample_rate)
    sounding = resample_poly(alarm.samples[:2], excerpt.sample_rate // divisor, alarm.sample_rate // divisor, axis=1)
    start = min(round(BEGINS_SECONDS * excerpt.sample_rate), excerpt.samples.shape[1])
    sounding = sounding[:, : excerpt.samples.shape[1] - start]
    both = excerpt.samples[:2].astype(np.float32)
    both[:, start : start + sounding.shape[1]] += sounding * np.float32(10 ** ((alarm_offset_db - excerpt.offset_db) / 20))
    return np.asarray(both * np.float32(PEAK / max(float(np.abs(both).max()), 1e-9)))


def write_mixes(folder: Path, sounds: list[Sound], found: Audit, excerpts: dict[str, Excerpt]) -> list[Path]:
    """One WAV an alarm. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    offsets = {heard.name: heard.offset_db for heard in found.alarms}
    written = []
    for sound in sounds:
        excerpt = excerpts[sound.name]
        written.append(folder / f"{Path(sound.name).stem} over {found.worst(sound.name).state or 'music'}.wav")
        soundfile.write(written[-1], mixed(sound, offsets[sound.name], excerpt).T, excerpt.sample_rate)
    return written
