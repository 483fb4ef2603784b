"""undertone's parts of toy size, with random weights: nothing in them is silent, as it is before training. And what they hear."""

import numpy as np
import torch

from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.prior import Prior

TINY = RECIPES["tiny"]


def miniature(sharpness: float = 3.0) -> tuple[Codec, Prior]:
    """`sharpness` makes the prior's choices depend on what it sees."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    codec, prior = Codec(TINY.codec), Prior(TINY.prior)
    codec.find_components(torch.rand(8, 60 * TINY.codec.frame_hops, TINY.codec.numbers))
    codec.quantiser.vectors.normal_()
    torch.nn.init.normal_(codec.decoder.write[-1].weight, std=0.1)
    torch.nn.init.normal_(prior.codes.write.weight, std=0.02)
    for parameter in prior.parameters():
        parameter.data.mul_(sharpness)
    return codec, prior


def music(seconds: float) -> np.ndarray:
    """Struck notes, one to the left, one to the right."""
    times = np.arange(round(seconds * TINY.codec.sample_rate)) / TINY.codec.sample_rate
    left, right = (np.sin(2 * np.pi * hertz * times) * np.exp(-3 * (times % 0.5)) for hertz in (440.0, 659.3))
    return 0.2 * np.stack([left, right]).astype(np.float32)
