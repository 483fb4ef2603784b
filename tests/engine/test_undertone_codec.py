"""The codec and its quantiser, of toy size."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from undertone_miniature import miniature, music

from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.losses import relative_error
from gridtone_engine.undertone.quantiser import Quantiser
from gridtone_engine.undertone.synthesis import levels_of, pooling, spreading

TINY = RECIPES["tiny"].codec


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_bands_are_bins_at_first_and_grow_with_frequency():
    bands = np.diff([*TINY.bands, TINY.spectrum_size // 2 + 1])
    assert (bands[: TINY.single_bins] == 1).all() and (np.diff(TINY.bands) >= 1).all() and TINY.numbers == 2 * len(bands)
    assert bands[-2] == round(TINY.bands[-2] / TINY.single_bins)
    assert np.allclose(spreading(TINY).sum(axis=0), 1) and np.allclose(pooling(TINY).sum(axis=0), 1)


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
