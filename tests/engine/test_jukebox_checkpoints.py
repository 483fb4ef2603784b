"""Every weight of the published files has its place, and nothing else fits."""

import hashlib

import pytest
import torch
from torch import Tensor

from gridtone_engine.jukebox.checkpoints import HUGGING_FACE, OPENAI, CheckpointError, Layout, foreign_names, translate
from gridtone_engine.jukebox.configs import MODELS, VQVAE_CONFIG, tiny
from gridtone_engine.jukebox.prior import Prior
from gridtone_engine.jukebox.vqvae import VQVAE

# SHA-256 over the lines `name [shape]`, sorted, of the state dict that OpenAI's code at commit 08efbbc builds for each published model.
PUBLISHED_KEYS = {
    "vqvae": (669, "9a882c7b0303bfe7200134309e73c180a2ff162f212f6428a46c4f924450fd09"),
    "upsampler_0": (1006, "b4be44bdef1c7a5a3f61e6020b5fecbcf16102e99bdcb0acf2e8f000d8df5804"),
    "upsampler_1": (1006, "b4be44bdef1c7a5a3f61e6020b5fecbcf16102e99bdcb0acf2e8f000d8df5804"),
    "5b": (872, "4eb1b0b7ac3b3b7d9d7479b2a87e1f6d97e16c24169021a6359a1ffa28714324"),
    "5b_lyrics": (1194, "a5d4b9bd9c5ce1cf631e783f449d5f152db1c34f6a0139b175cd9fe0174c9a1e"),
    "1b_lyrics": (872, "d046c750aaaeb902dda851959084fb810360f6960ee35c87d88923dca3049d5a"),
}
PRIORS = {prior.name: prior for model in MODELS.values() for prior in model.priors}


def foreign_weights(module: Prior | VQVAE, layout: Layout) -> dict[str, Tensor]:
    """The weights of `module` as the other side would have stored them."""
    names = foreign_names(module, layout)
    weights = {names[ours]: tensor.T if layout.transposed.search(names[ours]) else tensor for ours, tensor in module.state_dict().items()}
    if isinstance(module, Prior) and module.output is None:
        weights[layout.tied_output] = module.embedding.weight
    return weights


@pytest.mark.parametrize("name", PUBLISHED_KEYS)
def test_names_and_shapes_are_those_of_the_published_files(name: str) -> None:
    with torch.device("meta"):
        module = VQVAE(VQVAE_CONFIG) if name == "vqvae" else Prior(PRIORS[name])
    lines = sorted((key, list(tensor.shape)) for key, tensor in foreign_weights(module, OPENAI).items())
    digest = hashlib.sha256("\n".join(f"{key} {shape}" for key, shape in lines).encode()).hexdigest()
    assert (len(lines), digest) == PUBLISHED_KEYS[name]


@pytest.mark.parametrize("layout", [OPENAI, HUGGING_FACE], ids=lambda layout: layout.name)
@pytest.mark.parametrize("name", ["vqvae", "5b_lyrics", "1b_lyrics", "upsampler_1"])
def test_weights_survive_the_way_there_and_back(name: str, layout: Layout) -> None:
    model = tiny(MODELS[name if name in MODELS else "5b"])
    module = VQVAE(model.vqvae) if name == "vqvae" else Prior(model.priors[1] if name == "upsampler_1" else model.top)
    for tensor in module.state_dict().values():
        tensor.normal_()
    back = translate(foreign_weights(module, layout), module, layout)
    assert back.keys() == module.state_dict().keys()
    assert all(torch.equal(back[key], tensor) for key, tensor in module.state_dict().items())


def test_what_does_not_fit_is_named() -> None:
    prior = Prior(tiny(MODELS["5b"]).top)
    weights = foreign_weights(prior, OPENAI)
    with pytest.raises(CheckpointError, match=r"left over \['extra'\]"):
        translate({**weights, "extra": torch.zeros(1)}, prior, OPENAI)
    with pytest.raises(CheckpointError, match=r"prior.x_out.weight has shape \(3,\); this model needs \(64, 32\)"):
        translate({**weights, "prior.x_out.weight": torch.zeros(3)}, prior, OPENAI)
    del weights["prior.x_emb.weight"]
    with pytest.raises(CheckpointError, match=r"missing \['prior.x_emb.weight'\]"):
        translate(weights, prior, OPENAI)
