"""Jukebox's priors: sampling with caches is the same as looking at everything anew, in every published style."""

import pytest
import torch
from jukebox_miniature import random_weights
from torch import Tensor

from gridtone_engine.jukebox.configs import MODELS, PriorConfig, tiny
from gridtone_engine.jukebox.prior import Prior, choose

TINY = {name: tiny(model).top for name, model in MODELS.items()} | {prior.name: prior for prior in tiny(MODELS["5b"]).priors[:2]}


def random_labels(config: PriorConfig, batch: int, generator: torch.Generator) -> Tensor:
    rate, lyrics = config.sample_rate, config.lyrics
    return torch.cat(
        [
            torch.tensor([[100 * rate, 5 * rate, config.codes_context * config.hop]]).expand(batch, -1),
            torch.randint(0, config.labels.artists, (batch, 1), generator=generator),
            torch.randint(-1, config.labels.genres, (batch, config.labels.genres_at_most), generator=generator),
            torch.randint(0, lyrics.vocabulary if lyrics else 1, (batch, lyrics.characters if lyrics else 0), generator=generator),
        ],
        dim=1,
    )


@pytest.fixture(scope="module", params=TINY)
def prior(request: pytest.FixtureRequest) -> Prior:
    torch.set_num_threads(1)
    prior = Prior(TINY[request.param]).eval()
    random_weights(prior, torch.Generator().manual_seed(0), size=0.5)
    return prior


@torch.inference_mode()
def test_cached_sampling_is_uncached_sampling_with_every_track_at_its_own_position(prior: Prior) -> None:
    """Three tracks share a batch; one starts from nothing, the others from fragments of different lengths."""
    config, generator = prior.config, torch.Generator().manual_seed(1)
    length = config.codes_context
    y = random_labels(config, 3, generator)
    above = torch.randint(0, config.codes, (3, length >> config.conditioner.downs), generator=generator) if config.conditioner else None
    fragment = torch.randint(0, config.codes, (3, length), generator=generator)
    noise = torch.rand(3, length, generator=generator)
    known = [0, config.transformer.block_length, length - 20]

    state = prior.setup_caches(3)
    conditions = [prior.condition(y[i : i + 1], None if above is None else above[i : i + 1]) for i in range(3)]
    for row in range(3):
        # a used cache must not matter: fill the row with another window first
        prior.prefill(state, row, conditions[row], fragment[row : row + 1, :50].flip(1), noise[row])
        prior.prefill(state, row, conditions[row], fragment[row : row + 1, : known[row]], noise[row])
    steps = length - max(known)
    sampled_logits = torch.stack([prior.step(state, temperature=0.99) for _ in range(steps)], dim=1)

    for row in range(3):
        count = known[row] + steps
        cached = prior.codes_of(state, row, count)
        codes, logits = fragment[row : row + 1, : known[row]], []
        for position in range(known[row], count):
            everything = prior(torch.nn.functional.pad(codes, (0, 1)), conditions[row])[:, -1, prior.first_code :]
            logits.append(everything)
            codes = torch.cat([codes, choose(everything / 0.99, noise[row, position, None])[:, None]], dim=1)
        assert torch.equal(cached, codes[0])
        uncached_logits = torch.cat(logits)
        assert (sampled_logits[row] - uncached_logits).abs().max() <= 1e-5 * uncached_logits.abs().max()
    assert cached[-steps:].unique().numel() > 3, "a model that always says the same would prove nothing"


@torch.inference_mode()
def test_later_codes_do_not_change_earlier_logits(prior: Prior) -> None:
    config, generator = prior.config, torch.Generator().manual_seed(2)
    y = random_labels(config, 1, generator)
    above = torch.randint(0, config.codes, (1, config.codes_context >> config.conditioner.downs), generator=generator) if config.conditioner else None
    conditions = prior.condition(y, above)
    codes = torch.randint(0, config.codes, (1, config.codes_context), generator=generator)
    changed = codes.clone()
    changed[:, 70:] = (changed[:, 70:] + 1) % config.codes
    before = config.lyrics_in_sequence + 71  # the logits at a place are made from the places before it
    ours, theirs = prior(codes, conditions), prior(changed, conditions)
    assert torch.equal(ours[:, :before], theirs[:, :before])
    assert not torch.equal(ours[:, before:], theirs[:, before:])


def test_choosing_follows_the_distribution() -> None:
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0])
    noise = (torch.arange(10_000) + 0.5) / 10_000
    counts = choose(logits.expand(10_000, 4), noise).bincount(minlength=4) / 10_000
    torch.testing.assert_close(counts, logits.softmax(-1), atol=2e-4, rtol=0)


PARAMETERS = {"5b": 5_060_452_800, "5b_lyrics": 5_640_506_800, "1b_lyrics": 942_643_200, "upsampler_0": 981_298_176, "upsampler_1": 981_298_176}


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_sizes(name: str) -> None:
    published = {prior.name: prior for model in MODELS.values() for prior in model.priors}
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Prior(published[name]).parameters()) == PARAMETERS[name]
