"""A Jukebox in miniature with random weights, for tests: 1b_lyrics in all but size, sampled in a second."""

from dataclasses import replace

import torch
from torch import nn

from gridtone_engine.jukebox.configs import MODELS, JukeboxConfig, TransformerConfig, tiny
from gridtone_engine.jukebox.labels import LabelSet
from gridtone_engine.jukebox.model import JukeboxModel
from gridtone_engine.jukebox.prior import Prior
from gridtone_engine.jukebox.vqvae import VQVAE


def miniature_config() -> JukeboxConfig:
    """Windows of 32 codes: 0.093 s of audio at the top, 0.023 s and 0.006 s below."""
    model = tiny(MODELS["1b_lyrics"])
    priors = []
    for prior in model.priors:
        in_sequence = prior.lyrics_in_sequence and 8
        transformer = TransformerConfig(16, 16 if in_sequence else 3, 2, 32 + in_sequence, 4, prior.transformer.attention_order)
        labels = replace(prior.labels, shortest_seconds=0.05)
        priors.append(replace(prior, transformer=transformer, labels=labels, lyrics=prior.lyrics and replace(prior.lyrics, characters=8)))
    return replace(model, name="miniature", priors=tuple(priors))


def miniature() -> JukeboxModel:
    torch.set_num_threads(1)
    config, generator = miniature_config(), torch.Generator().manual_seed(0)
    priors, vqvae = [Prior(prior).eval() for prior in config.priors], VQVAE(config.vqvae).eval()
    for module in (*priors, vqvae):
        random_weights(module, generator)
    sets = {version: LabelSet(version, {"unknown": 0, "kraftwerk": 3}, {"unknown": 0, "ambient": 4, "electronic": 5}) for version in ("v2", "v3")}
    return JukeboxModel(config, vqvae, priors.__getitem__, sets)


def random_weights(module: nn.Module, generator: torch.Generator, size: float = 1.0) -> None:
    """Of a size that lets every part be heard, so that codes vary."""
    for tensor in module.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * (size / tensor[0].numel() ** 0.5 if tensor.dim() > 1 else 0.3))
