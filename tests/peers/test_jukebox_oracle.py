"""Our Jukebox beside the last release of transformers that has one: same random weights, same codes, same logits.

Sizes are tiny; depths, attention orders, conditioners and label sets are those of the published models.
"""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers")
from transformers.models.deprecated.jukebox.configuration_jukebox import JukeboxVQVAEConfig
from transformers.models.deprecated.jukebox.modeling_jukebox import JukeboxPrior, JukeboxVQVAE
from transformers_jukebox import fill, their_prior

from gridtone_engine.jukebox.attention import layer_kinds
from gridtone_engine.jukebox.checkpoints import HUGGING_FACE, translate
from gridtone_engine.jukebox.configs import MODELS, VQVAE_CONFIG, VQVAEConfig, tiny
from gridtone_engine.jukebox.prior import Conditions, Prior
from gridtone_engine.jukebox.vqvae import VQVAE

ROUNDING = 1e-6

TINY_PRIORS = {name: tiny(model).top for name, model in MODELS.items()} | {prior.name: prior for prior in tiny(MODELS["5b"]).priors[:2]}
PUBLISHED_PRIORS = {name: model.top for name, model in MODELS.items()} | {prior.name: prior for prior in MODELS["5b"].priors[:2]}


@dataclass
class Pair:
    ours: Prior
    theirs: JukeboxPrior
    conditions: Conditions
    y: Tensor
    above: list[Tensor]
    codes: Tensor

    def their_logits(self) -> Tensor:
        """Of the music positions, and for lyrics in the sequence of those as well."""
        prior, config = self.theirs, self.ours.config
        audio, metadata, lyrics = prior.get_cond(list(self.above), self.y)
        if config.lyrics_in_sequence:
            tokens, audio = prior.prior_preprocess([lyrics, self.codes.clone()], [None, audio])
            return prior.prior(tokens, audio, metadata, get_preds=True, get_sep_loss=True)[1]
        return prior.prior(self.codes, audio, metadata, prior.get_encoder_states(lyrics), get_preds=True)[1]


@pytest.fixture(scope="module", params=TINY_PRIORS)
def pair(request: pytest.FixtureRequest) -> Pair:
    torch.set_num_threads(1)
    config = TINY_PRIORS[request.param]
    theirs = their_prior(config)
    fill(theirs)
    ours = Prior(config).eval()
    ours.load_state_dict(translate(theirs.state_dict(), ours, HUGGING_FACE))
    generator = torch.Generator().manual_seed(1)
    batch, rate = 3, config.sample_rate
    genres = torch.randint(0, config.labels.genres, (batch, config.labels.genres_at_most), generator=generator)
    genres[0, 1:] = -1
    y = torch.cat(
        [
            torch.tensor([[90 * rate, 3 * rate, config.codes_context * config.hop], [200 * rate, 0, 128 * 1000], [61 * rate, 60 * rate, 5 * rate]]),
            torch.randint(0, config.labels.artists, (batch, 1), generator=generator),
            genres,
            torch.randint(0, config.lyrics.vocabulary, (batch, config.lyrics.characters), generator=generator) if config.lyrics else genres[:, :0],
        ],
        dim=1,
    )
    codes = torch.randint(0, config.codes, (batch, config.codes_context), generator=generator)
    above = []
    if config.conditioner:
        above = [torch.randint(0, config.codes, (batch, config.codes_context >> config.conditioner.downs), generator=generator)]
    with torch.inference_mode():
        return Pair(ours, theirs, ours.condition(y, *above), y, above, codes)


@torch.inference_mode()
def test_logits_are_theirs(pair: Pair) -> None:
    ours, theirs = pair.ours(pair.codes, pair.conditions), pair.their_logits()
    assert theirs.std() > 0.1, "the comparison would be blind on a model that says nothing"
    torch.testing.assert_close(ours, theirs, rtol=ROUNDING, atol=ROUNDING * theirs.abs().max().item())


@torch.inference_mode()
def test_every_condition_moves_the_logits(pair: Pair) -> None:
    """So that agreement above is agreement about artist, genres, timing, lyrics and the level above."""
    logits = pair.ours(pair.codes, pair.conditions)
    labels, config = 4 + pair.ours.config.labels.genres_at_most, pair.ours.config
    fields = {"artist": slice(3, 4), "genre": slice(4, 5)}
    if config.labels.timing_bins:
        fields["offset"] = slice(1, 2)
    if config.lyrics:
        fields["lyrics"] = slice(labels, None)
    for name, field in fields.items():
        y = pair.y.clone()
        y[:, field] = torch.where(y[:, field] > 5, 2, 6) if name != "offset" else 0 * y[:, field] + 20 * config.sample_rate
        moved = pair.ours(pair.codes, pair.ours.condition(y, *pair.above))
        assert (moved - logits).abs().max() > 1e-3, name
    if config.conditioner:
        moved = pair.ours(pair.codes, pair.ours.condition(pair.y, pair.above[0].flip(1)))
        assert (moved - logits).abs().max() > 1e-3, "level above"


@pytest.mark.parametrize("name", TINY_PRIORS)
def test_layers_look_where_theirs_look(name: str) -> None:
    names = {"block_attn": "ROW", "transpose_block_attn": "COLUMN", "prev_block_attn": "PREVIOUS_ROW"}
    names |= {"cross_attention": "CROSS", "prime_attn": "PRIME", "dense_attn": "DENSE"}
    with torch.device("meta"):
        theirs = [names[layer.attn_func] for layer in their_prior(TINY_PRIORS[name]).prior.transformer._attn_mods]
    assert [kind.name for kind in layer_kinds(TINY_PRIORS[name].transformer)] == theirs


@pytest.fixture(scope="module")
def vqvaes() -> tuple[VQVAE, JukeboxVQVAE]:
    torch.set_num_threads(1)
    theirs = JukeboxVQVAE(JukeboxVQVAEConfig(sample_length=128 * 64)).eval()
    fill(theirs)
    with torch.inference_mode():  # codebooks amid the latents of some audio, so that many codes are near
        noise = torch.randn(1, 1, 128 * 2048, generator=torch.Generator().manual_seed(1))
        for encoder, block in zip(theirs.encoders, theirs.bottleneck.level_blocks, strict=True):
            latents = encoder(noise)[-1][0].T
            block.codebook = latents[torch.linspace(0, len(latents) - 1, 2048).long()] + 0.01 * torch.randn(
                2048, 64, generator=torch.Generator().manual_seed(3)
            )
    ours = VQVAE(VQVAEConfig()).eval()
    ours.load_state_dict(translate(theirs.state_dict(), ours, HUGGING_FACE))
    return ours, theirs


@torch.inference_mode()
def test_vqvae_gives_their_codes_and_their_audio(vqvaes: tuple[VQVAE, JukeboxVQVAE]) -> None:
    ours, theirs = vqvaes
    audio = torch.randn(2, 128 * 40, generator=torch.Generator().manual_seed(2)).clamp(-1, 1)
    codes, their_codes = ours.encode(audio), theirs.encode(audio[..., None])
    for level in range(3):
        assert codes[level].unique().numel() > 30
        assert torch.equal(codes[level], their_codes[level])
        decoded, theirs_decoded = ours.decode(codes[level], level), theirs.decode(their_codes[level:], start_level=level)[..., 0]
        torch.testing.assert_close(decoded, theirs_decoded, rtol=1e-6, atol=1e-6 * theirs_decoded.abs().max().item())


@pytest.mark.parametrize("name", PUBLISHED_PRIORS)
def test_hugging_faces_weights_fit_ours_at_full_size(name: str) -> None:
    """On the meta device: every weight of theirs is one of ours, in its shape, and none is left over on either side."""
    with torch.device("meta"):
        ours = Prior(PUBLISHED_PRIORS[name])
        translate(their_prior(PUBLISHED_PRIORS[name]).state_dict(), ours, HUGGING_FACE)


def test_hugging_faces_vqvae_fits_ours_at_full_size() -> None:
    with torch.device("meta"):
        translate(JukeboxVQVAE(JukeboxVQVAEConfig(sample_length=1024)).state_dict(), VQVAE(VQVAE_CONFIG), HUGGING_FACE)
