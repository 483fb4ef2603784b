"""The brightness of a stream. A track is tilted as a whole, when all of it is known; a stream as it goes, by what was heard of it."""

import numpy as np
from numpy.typing import NDArray

from gridtone_engine.composer import master
from gridtone_engine.undertone.configs import CodecConfig
from gridtone_engine.undertone.synthesis import LOUDNESS

HEARD_SECONDS = 20.0
"""That the tilt goes by."""
EVERY = 5
"""Spectra, of which one is measured."""
FASTEST = 0.4
"""Change of the tilt, in dB an octave and second, once it is found: slow enough not to be heard as one."""
AUDIBLE = 0.01
"""Of the loudest spectrum; below it nothing is measured."""

Floats = NDArray[np.float32]


class Balance:
    def __init__(self, config: CodecConfig) -> None:
        ends = [*config.bands[1:], config.spectrum_size // 2 + 1]
        self._bins = np.subtract(ends, config.bands)
        self._hz = (np.add(ends, config.bands) - 1) / 2 * config.sample_rate / config.spectrum_size
        self._seconds = config.spectrum_hop / config.sample_rate
        self._heard = np.zeros((0, len(ends)))
        self._tilt: float | None = None

    def tilted(self, levels: Floats, brightness: float) -> Floats:
        """The next levels (1, spectra, 2 * bands) of a stream, so that the centroid of the middle comes to what the brightness asks for."""
        levels = np.maximum(levels, 0)
        middle = levels[0, ::EVERY, : len(self._hz)].astype(np.float64) ** (1 / LOUDNESS) * self._bins
        self._heard = np.concatenate([self._heard, middle])[-round(HEARD_SECONDS / self._seconds / EVERY) :]
        loudness = self._heard.sum(axis=1)
        if loudness.any():
            wanted = master.tilt_db(self._heard[loudness > AUDIBLE * loudness.max()], self._hz, brightness)
            most = FASTEST * levels.shape[1] * self._seconds
            self._tilt = wanted if self._tilt is None else self._tilt + float(np.clip(wanted - self._tilt, -most, most))
        gains = 10 ** (LOUDNESS * (self._tilt or 0.0) * master.octaves(self._hz) / 20)
        return np.asarray(levels * np.concatenate([gains, gains]), np.float32)
