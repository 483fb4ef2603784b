"""Samples to the two forms in which the library keeps a track."""

import io
from collections.abc import Mapping

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

OPUS_RATE = 48_000
"""Opus knows no 44.1 kHz."""


def encode_flac(samples: NDArray[np.float32], sample_rate: int, bits: int, tags: Mapping[str, str]) -> bytes:
    """Lossless, 16 or 24 bits a sample; 16 with triangular dither. `samples`: (channels, frames). The same input gives the same bytes."""
    if bits == 16:
        one, other = np.random.default_rng(0).random((2, *samples.shape), dtype=np.float32)
        samples = samples + (one - other) / np.float32(2**15)
    return _encode(samples, sample_rate, "FLAC", f"PCM_{bits}", tags)


def encode_opus(samples: NDArray[np.float32], sample_rate: int, tags: Mapping[str, str]) -> bytes:
    """Ogg Opus for browsers, about 120 kbit/s in stereo, resampled to 48 kHz where needed. `samples`: (channels, frames)."""
    if sample_rate != OPUS_RATE:
        divisor = np.gcd(OPUS_RATE, sample_rate)
        samples = resample_poly(samples, OPUS_RATE // divisor, sample_rate // divisor, axis=1)
    return _encode(samples, OPUS_RATE, "OGG", "OPUS", tags)


def _encode(samples: NDArray[np.float32], sample_rate: int, container: str, subtype: str, tags: Mapping[str, str]) -> bytes:
    """`tags`: any of title, artist, license, comment, software."""
    encoded = io.BytesIO()
    with soundfile.SoundFile(encoded, "w", sample_rate, samples.shape[0], subtype, format=container) as file:
        for name, text in tags.items():
            setattr(file, name, text)
        file.write(samples.T)
    return encoded.getvalue()
