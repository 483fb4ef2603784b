"""Alarms to try an audit with, and the noise that a room's loudspeakers are measured with. Made by formula; the real audit takes the room's own recordings."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy import fft

from gridtone.gate.loudness import measure

RATE = 48_000
ALARM_PEAK = 10 ** (-6 / 20)
NOISE_LUFS = -23.0
NOISE_SECONDS = 30.0
LEVELS = """\
# Levels at the desk, measured with a sound level meter where the head would be. docs/control-room.md says how.
music_dba: 45 # LAeq while calibration-noise.wav plays at the loudest setting that listeners can choose
background: 40 # LAeq without music and alarms; or octaves: {125: 45, 250: 42, 500: 38, 1000: 35, 2000: 31, 4000: 28}
alarms: # LAFmax of each, as it sounds in the room
  medical-burst.wav: 65
  horn.wav: 68
  whoop.wav: 67
"""

Floats = NDArray[np.float64]


def medical_burst(seconds: float = 6.0) -> Floats:
    """Groups of three and two pulses of 150 ms at 440 Hz with three harmonics, in the manner of IEC 60601-1-8's high priority."""
    pulse_seconds, ramp = 0.15, 0.02
    time = np.arange(round(pulse_seconds * RATE)) / RATE
    envelope = np.clip(np.minimum(time, pulse_seconds - time) / ramp, 0, 1)
    pulse = envelope * sum(np.sin(2 * np.pi * 440 * harmonic * time) / harmonic for harmonic in (1, 2, 3, 4))
    samples = np.zeros(round(seconds * RATE))
    for group in np.arange(0.0, seconds, 2.5):
        for start in group + np.array([0.0, 0.25, 0.5, 0.95, 1.2]):
            at = round(start * RATE)
            if at + len(pulse) <= len(samples):
                samples[at : at + len(pulse)] += pulse
    return samples


def horn(seconds: float = 6.0) -> Floats:
    """A steady horn: a saw at 420 Hz, band-limited, one second on, half a second off."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 420 * harmonic * time) / harmonic for harmonic in range(1, 13))
    on = time % 1.5
    return np.asarray(tone * np.clip(np.minimum(on, 1.0 - on) / 0.02, 0, 1))


def whoop(seconds: float = 8.0) -> Floats:
    """A slow whoop: 500 to 1200 Hz in 3.5 s, half a second of silence, as evacuation signals in the Netherlands (NEN 2575)."""
    time = np.arange(round(seconds * RATE)) / RATE
    sweep = time % 4.0
    frequency = np.where(sweep < 3.5, 500 + 700 * sweep / 3.5, 0)
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    return np.asarray((np.sin(phase) + 0.3 * np.sin(3 * phase)) * np.clip(np.minimum(sweep, 3.5 - sweep) / 0.02, 0, 1))


def calibration_noise(seconds: float = NOISE_SECONDS) -> NDArray[np.float32]:
    """Pink noise from 20 Hz to 20 kHz at -23 LUFS, (2, frames), another one in each channel."""
    size = round(seconds * RATE)
    frequencies = fft.rfftfreq(size, 1 / RATE)
    shape = np.where((frequencies >= 20) & (frequencies <= 20_000), 1 / np.sqrt(np.maximum(frequencies, 1)), 0)
    turns = np.random.default_rng(0).random((2, len(frequencies)))
    noise = fft.irfft(shape * np.exp(2j * np.pi * turns), size, axis=-1)
    noise = (0.1 * noise / noise.std()).astype(np.float32)
    return np.asarray(noise * np.float32(10 ** ((NOISE_LUFS - measure(noise, RATE).integrated) / 20)))


def write_examples(folder: Path) -> list[Path]:
    """Write three alarms, the calibration noise and levels to change. Raises OSError."""
    (folder / "alarms").mkdir(parents=True, exist_ok=True)
    written = []
    for name, samples in {"medical-burst": medical_burst(), "horn": horn(), "whoop": whoop()}.items():
        written.append(folder / "alarms" / f"{name}.wav")
        soundfile.write(written[-1], ALARM_PEAK * samples / np.abs(samples).max(), RATE)
    written.append(folder / "calibration-noise.wav")
    soundfile.write(written[-1], calibration_noise().T, RATE)
    written.append(folder / "levels.yaml")
    written[-1].write_text(LEVELS, encoding="utf-8")
    return written
