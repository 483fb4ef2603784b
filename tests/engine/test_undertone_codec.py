"""The codec and its quantiser, of toy size, and sound from levels."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.signal import stft
from undertone_miniature import miniature

from gridtone_engine.undertone import synthesis
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.losses import relative_error
from gridtone_engine.undertone.quantiser import Quantiser
from gridtone_engine.undertone.synthesis import Synthesis, levels_of, pooling, spreading, synthesised

TINY = RECIPES["tiny"].codec


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def music(seconds: float) -> np.ndarray:
    """Struck notes, one to the left, one to the right."""
    times = np.arange(round(seconds * TINY.sample_rate)) / TINY.sample_rate
    left, right = (np.sin(2 * np.pi * hertz * times) * np.exp(-3 * (times % 0.5)) for hertz in (440.0, 659.3))
    return 0.2 * np.stack([left, right]).astype(np.float32)


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
    pieces = [stretches.play(levels[start : start + count]) for start in range(0, len(levels), count)]
    assert np.abs(np.concatenate([*pieces, stretches.rest()], axis=1) - synthesised(levels, TINY)).max() < 1e-5


@pytest.mark.parametrize("spectra", [0, 1, 3, 10])
def test_every_spectrum_gives_a_hop_of_sound(spectra):
    assert synthesised(np.ones((spectra, TINY.numbers), np.float32), TINY).shape == (2, spectra * TINY.spectrum_hop)


def test_bands_are_bins_at_first_and_grow_with_frequency():
    bands = np.diff([*TINY.bands, TINY.spectrum_size // 2 + 1])
    assert (bands[: TINY.single_bins] == 1).all() and (np.diff(TINY.bands) >= 1).all() and TINY.numbers == 2 * len(bands)
    assert bands[-2] == round(TINY.bands[-2] / TINY.single_bins)
    assert np.allclose(spreading(TINY).sum(axis=0), 1) and np.allclose(pooling(TINY).sum(axis=0), 1)


def test_silence_gives_silence():
    assert not synthesised(np.zeros((20, TINY.numbers), np.float32), TINY).any()


def test_levels_are_the_same_in_torch_and_numpy():
    audio = music(0.5)[None]
    assert np.abs(Codec(TINY).levels(torch.from_numpy(audio)).numpy() - levels_of(audio, TINY)).max() < 1e-3


def test_shapes_follow_the_frame_rate():
    codec = Codec(TINY).eval()
    codes = codec.encode(torch.randn(3, 2, 5 * TINY.hop + 7))
    assert codes.shape == (3, TINY.codebooks, 5) and codes.dtype == torch.int64
    assert codec.decode(codes).shape == (3, 5 * TINY.frame_hops, TINY.numbers)
    assert TINY.frame_rate == 25
    with pytest.raises(ValueError, match="less than one frame"):
        codec.encode(torch.zeros(1, 2, 100))


def test_nothing_beyond_the_reach_changes_a_frame():
    codec = miniature()[0].eval()
    reach, middle = TINY.reach_frames, 40
    codes = torch.randint(TINY.codes, (1, TINY.codebooks, 80))
    hops = TINY.frame_hops
    whole = codec.decode(codes)[:, middle * hops : (middle + 1) * hops]
    alone = codec.decode(codes[..., middle - reach : middle + reach + 1])[:, reach * hops : (reach + 1) * hops]
    assert torch.allclose(whole, alone, atol=1e-4)


def test_every_codebook_rounds_its_share():
    quantiser = Quantiser(3, 32, 4)
    latents = torch.randn(4000, 3, 4) * torch.tensor([0.1, 1.0, 10.0])[:, None]
    quantiser.initialise(latents, torch.Generator().manual_seed(0))
    codes = quantiser.encode(latents[None])
    decoded = quantiser.decode(codes)[0]
    for book in range(3):
        assert (latents[:, book] - decoded[:, book]).square().mean() < 0.35 * latents[:, book].square().mean()
        assert len(codes[0, book].unique()) == 32, "k-means leaves no vector unused"
    moved = codes.clone()
    moved[:, 1] = (moved[:, 1] + 1) % 32
    changed = (quantiser.decode(moved)[0] != decoded).any(dim=2).any(dim=0)
    assert changed.tolist() == [False, True, False]


def test_jittered_codes_lie_near_those_they_replace():
    quantiser = Quantiser(2, 64, 3)
    quantiser.initialise(torch.randn(4000, 2, 3), torch.Generator().manual_seed(0))
    codes = torch.randint(64, (32, 2, 50))
    again, none, small, large = (quantiser.jittered(codes, most, torch.Generator().manual_seed(1)) for most in (0.5, 0.0, 0.1, 0.5))
    assert torch.equal(none, codes) and torch.equal(again, large)
    moved = [(quantiser.decode(found) - quantiser.decode(codes)).norm(dim=3) for found in (small, large, torch.randint(64, codes.shape))]
    assert moved[0].mean() < 0.5 * moved[1].mean() < 0.5 * 0.5 * moved[2].mean()
    by_piece = (large != codes).float().mean(dim=(1, 2))
    assert by_piece.min() < 0.2 < 0.5 < by_piece.max(), "each piece has a size of its own"


def test_shares_are_all_of_the_spectrum():
    for config in (TINY, RECIPES["small"].codec):
        shares = config.shares
        assert shares[0][0] == 0 and shares[-1][1] == config.numbers and len(shares) == config.codebooks
        assert all(first < last for first, last in shares) and all(one[1] == other[0] for one, other in pairwise(shares))
        assert shares[len(config.middle_hz)][0] == config.numbers // 2, "the sides begin a share of their own"


def test_components_keep_what_varies_most():
    codec = Codec(TINY)
    hidden = torch.randn(8, 60, 3) @ torch.randn(3, TINY.frame_hops * TINY.numbers)
    levels = (hidden + 0.01 * torch.randn_like(hidden)).reshape(8, -1, TINY.numbers) + 5
    codec.find_components(levels)
    again = codec.plain(codec.latents(levels).flatten(2))
    assert relative_error(again, levels, levels - 5) < 1e-3
    assert torch.allclose(codec.components.T @ codec.components, torch.eye(TINY.codebooks * TINY.latent_width), atol=1e-4)
    codes = codec.quantiser.encode(codec.latents(levels))
    assert torch.equal(codec.decode(codes), codec.plain(codec.quantiser.decode(codes).flatten(2))), "the decoder is silent before it is trained"


def test_an_error_is_a_share_of_the_levels():
    levels = torch.rand(2, 20, 30) * torch.tensor([1.0, 10.0])[:, None, None]
    assert relative_error(levels, levels, levels) == 0
    assert abs(relative_error(0.5 * levels, levels, levels) - 0.25) < 1e-6, "a quiet piece counts as much as a loud one"


@pytest.mark.parametrize("name", ["small", "base"])
def test_sizes_are_what_fits_a_package(name):
    from gridtone_engine.undertone.prior import Prior

    recipe = RECIPES[name]
    parameters = sum(p.numel() for model in (Codec(recipe.codec), Prior(recipe.prior)) for p in model.parameters())
    assert parameters < 42e6
