"""Sound from levels, in numpy and in torch."""

import os
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import stft
from undertone_miniature import music

from gridtone_engine.undertone import synthesis, torch_synthesis
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.corpus import make
from gridtone_engine.undertone.synthesis import Synthesis, levels_of, synthesised
from gridtone_engine.undertone.torch_synthesis import TorchSynthesis

TINY = RECIPES["tiny"].codec


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    torch.set_num_threads(1)


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


SYNTHESES = {"numpy": Synthesis, "torch": partial(TorchSynthesis, device=os.environ.get("GRIDTONE_TEST_DEVICE", "cpu"))}


@pytest.fixture(scope="module")
def pieces() -> np.ndarray:
    """Levels of composed music, (tracks, spectra, numbers)."""
    return levels_of(np.stack([make(number, 1.8).samples for number in range(3)]), TINY)


def heard(synthesis: Synthesis | TorchSynthesis, levels: np.ndarray) -> np.ndarray:
    return np.concatenate([synthesis.play(levels[:, :7]), synthesis.play(levels[:, 7:]), synthesis.rest()], axis=2)


@pytest.mark.parametrize(("name", "tracks"), [("numpy", 18), ("torch", 18), ("torch", 1)])
def test_every_track_sounds_as_it_does_alone_in_numpy(name, tracks, pieces):
    """But for rounding. Phases amplify it tenfold in some five hops, so short tracks: the last bit of the levels moves these by 5e-5 at first, 1e-3 at last."""
    levels = pieces.reshape(18, 15, -1)
    sounds = np.concatenate([heard(SYNTHESES[name](TINY, tracks), levels[first : first + tracks]) for first in range(0, 18, tracks)])
    difference = np.abs(sounds - np.stack([synthesised(track, TINY) for track in levels]))
    assert difference[..., : 5 * TINY.spectrum_hop].max() < 2e-4 and difference.max() < 5e-3


@pytest.mark.parametrize("name", SYNTHESES)
def test_a_long_track_has_the_levels_that_it_has_alone_in_numpy(name, pieces):
    found = levels_of(heard(SYNTHESES[name](TINY, 3), pieces), TINY)
    wanted = levels_of(np.stack([synthesised(piece, TINY) for piece in pieces]), TINY)
    assert (np.linalg.norm(found - wanted, axis=(1, 2)) < 0.05 * np.linalg.norm(wanted, axis=(1, 2))).all()


def test_a_hop_asks_no_tensor_for_its_value():
    """On a GPU that would wait, and could not be captured; here these tensors have none."""
    with torch.inference_mode():
        TorchSynthesis(TINY, 2, "meta")._step()


def test_what_capturing_runs_is_forgotten(pieces, monkeypatch):
    def ran_before(step, device):
        step()
        return step

    wanted = heard(TorchSynthesis(TINY, len(pieces), "cpu"), pieces)
    monkeypatch.setattr(torch_synthesis, "captured", ran_before)
    assert np.array_equal(heard(TorchSynthesis(TINY, len(pieces), "cpu"), pieces), wanted)


@given(arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 30)), elements=st.integers(0, 4).map(float)))
def test_every_bin_finds_its_peak(heights):
    wanted = [climbed(row) for row in heights.tolist()]
    assert synthesis.nearest_peak(heights).tolist() == wanted
    assert torch_synthesis.nearest_peak(torch.from_numpy(heights)).tolist() == wanted


def climbed(heights: list[float]) -> list[int]:
    """Uphill from each bin; the nearest below where that leads off an end, above where nothing is below."""
    bins = range(len(heights))
    peaks = [place for place in bins[1:-1] if heights[place - 1] < heights[place] >= heights[place + 1]]
    if not peaks:
        return [heights.index(max(heights))] * len(heights)
    found = []
    for place in bins:
        below, above = [peak for peak in peaks if peak <= place], [peak for peak in peaks if peak > place]
        uphill = heights[place] < heights[place + 1] if place + 1 < len(heights) else False
        found.append(above[0] if (uphill and above) or not below else below[-1])
    return found
