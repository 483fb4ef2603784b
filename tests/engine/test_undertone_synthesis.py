"""Sound from levels."""

import numpy as np
import pytest
from scipy.signal import stft
from undertone_miniature import music

from gridtone_engine.undertone import synthesis
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.synthesis import Synthesis, levels_of, synthesised

TINY = RECIPES["tiny"].codec


def test_sound_from_levels_has_the_levels():
    audio = music(2.0)
    levels = levels_of(audio[None], TINY)[0]
    sound = synthesised(levels, TINY)
    assert sound.shape == audio.shape and np.isfinite(sound).all()
    again = levels_of(sound[None], TINY)[0]
    middle = slice(10, -10)
    found, wanted = again[middle], levels[middle]
    assert np.linalg.norm(found - wanted) < 0.2 * np.linalg.norm(wanted)
    without_order = np.fft.irfft(np.fft.rfft(sound) * np.exp(2j * np.pi * np.random.default_rng(0).random(sound.shape[1] // 2 + 1)), sound.shape[1])
    scattered = levels_of(without_order[None].astype(np.float32), TINY)[0][middle]
    assert np.linalg.norm(scattered - wanted) > 0.3 * np.linalg.norm(wanted), "the measure tells wrong phases"


def test_a_tone_stays_one_tone():
    times = np.arange(2 * TINY.sample_rate) / TINY.sample_rate
    tone = 0.3 * np.sin(2 * np.pi * 443.7 * times).astype(np.float32)
    sound = synthesised(levels_of(np.stack([tone, tone])[None], TINY)[0], TINY)[0, 8000:-8000]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    hertz = np.fft.rfftfreq(len(sound), 1 / TINY.sample_rate)
    assert abs(hertz[spectrum.argmax()] - 443.7) < 1.5
    assert (spectrum[np.abs(hertz - 443.7) < 5] ** 2).sum() > 0.98 * (spectrum**2).sum()


def test_a_steady_tone_stays_as_loud():
    times = np.arange(3 * TINY.sample_rate) / TINY.sample_rate
    chord = sum(0.1 * np.sin(2 * np.pi * hertz * times) for hertz in (220.0, 277.2, 1318.5)).astype(np.float32)
    sound = synthesised(levels_of(np.stack([chord, chord])[None], TINY)[0], TINY)[0, 16_000:-16_000]
    loudness, asked = (np.sqrt((whole.reshape(-1, 3_200) ** 2).mean(axis=1)) for whole in (sound, chord[16_000:-16_000]))
    assert np.abs(loudness / asked - 1).max() < 0.1
    assert np.abs(np.diff(sound)).max() < 1.5 * np.abs(np.diff(chord)).max(), "no clicks"


def test_iterations_bring_the_spectrum_closer(monkeypatch):
    audio = music(2.0)
    levels = levels_of(audio[None], TINY)[0]
    wanted, better = (magnitudes(sound) for sound in (audio, synthesised(levels, TINY)))
    monkeypatch.setattr(synthesis, "ITERATIONS", 0)
    begun = magnitudes(synthesised(levels, TINY))
    assert np.linalg.norm(better - wanted) < 0.6 * np.linalg.norm(begun - wanted) < 0.1 * np.linalg.norm(wanted)


def magnitudes(sound: np.ndarray) -> np.ndarray:
    """Of all frequencies, not of bands, of middle and side, without the ends."""
    both = np.stack([sound[0] + sound[1], sound[0] - sound[1]]) / 2
    return np.abs(stft(both, nperseg=TINY.spectrum_size, noverlap=TINY.spectrum_size - 500)[2])[..., 20:-20]


@pytest.mark.parametrize("count", [1, 7, 40])
def test_stretches_join_without_a_seam(count):
    levels = levels_of(music(1.6)[None], TINY)[0]
    stretches = Synthesis(TINY)
    pieces = [stretches.play(levels[None, start : start + count]) for start in range(0, len(levels), count)]
    assert np.abs(np.concatenate([*pieces, stretches.rest()], axis=2)[0] - synthesised(levels, TINY)).max() < 1e-5


@pytest.mark.parametrize("spectra", [0, 1, 3, 10])
def test_every_spectrum_gives_a_hop_of_sound(spectra):
    assert synthesised(np.ones((spectra, TINY.numbers), np.float32), TINY).shape == (2, spectra * TINY.spectrum_hop)


def test_silence_gives_silence():
    assert not synthesised(np.zeros((20, TINY.numbers), np.float32), TINY).any()
