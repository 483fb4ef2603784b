"""The codec and its quantiser, of toy size."""

import pytest
import torch

from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.losses import snr_db, spectral_loss
from gridtone_engine.undertone.quantiser import ResidualQuantiser

TINY = RECIPES["tiny"].codec


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_spectra_lead_back_to_the_audio():
    codec = Codec(TINY)
    audio = torch.randn(2, 2, 10 * TINY.hop)
    back = codec.audio(codec.spectra(audio))
    assert back.shape == audio.shape
    assert snr_db(back[..., TINY.hop : -TINY.hop], audio[..., TINY.hop : -TINY.hop]) > 60


def test_shapes_follow_the_frame_rate():
    codec = Codec(TINY).eval()
    codes = codec.encode(torch.randn(3, 2, 5 * TINY.hop + 7))
    assert codes.shape == (3, TINY.codebooks, 5) and codes.dtype == torch.int64
    assert codec.decode(codes).shape == (3, 2, 5 * TINY.hop)
    assert TINY.frame_rate == 25
    with pytest.raises(ValueError, match="less than one frame"):
        codec.encode(torch.zeros(1, 2, 100))


def test_nothing_beyond_the_reach_changes_a_frame():
    codec = Codec(TINY).eval()
    codec.quantiser.vectors.normal_()
    reach, middle = TINY.reach_frames, 40
    codes = torch.randint(TINY.codes, (1, TINY.codebooks, 80))
    whole = codec.decode(codes)[..., middle * TINY.hop : (middle + 1) * TINY.hop]
    alone = codec.decode(codes[..., middle - reach : middle + reach + 1])[..., reach * TINY.hop : (reach + 1) * TINY.hop]
    assert torch.allclose(whole, alone, atol=1e-4)


def test_every_codebook_rounds_what_is_left_over():
    quantiser = ResidualQuantiser(4, 32, 8)
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(4000, 8)
    quantiser.initialise(latents, generator)
    codes = quantiser.encode(latents[None])
    errors = []
    for books in range(5):
        kept = sum((quantiser.vectors[book][codes[0, book]] for book in range(books)), torch.zeros_like(latents))
        errors.append((latents - kept).square().mean().item())
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.25 * errors[0]
    assert all(len(codes[0, book].unique()) == 32 for book in range(4)), "k-means leaves no vector unused"


def test_codebooks_follow_the_data_and_restart_what_nobody_chooses():
    quantiser = ResidualQuantiser(2, 32, 8)
    generator = torch.Generator().manual_seed(0)
    quantiser.initialise(torch.randn(2000, 8), generator)
    moved = torch.randn(2000, 8) * 0.3 + 20
    restarted = sum(quantiser.update(moved[torch.randperm(2000)[:256]], 0.8, generator) for _ in range(60))
    assert restarted > 0
    codes = quantiser.encode(moved[None])
    assert (quantiser.decode(codes)[0] - moved).square().mean() < 0.5 * moved.var()
    assert len(codes[0, 0].unique()) > 16


def test_the_loss_is_least_for_the_audio_itself():
    audio = torch.randn(1, 2, 8000) * 0.1
    assert spectral_loss(audio, audio) < 1e-6 < spectral_loss(audio * 0.9, audio) < spectral_loss(audio * 0.5, audio)
    swapped = audio.flip(1)
    assert spectral_loss(swapped, audio) < 1e-6, "magnitudes of middle and side alone do not tell left from right: the waveform does"


@pytest.mark.parametrize("name", ["small", "base"])
def test_sizes_are_what_fits_a_package(name):
    from gridtone_engine.undertone.prior import Prior

    recipe = RECIPES[name]
    parameters = sum(p.numel() for model in (Codec(recipe.codec), Prior(recipe.prior)) for p in model.parameters())
    assert parameters < 42e6
