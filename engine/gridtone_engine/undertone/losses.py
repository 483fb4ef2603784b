"""How far decoded levels are from the music's."""

import torch
from torch import Tensor

from gridtone_engine.undertone.configs import CodecConfig
from gridtone_engine.undertone.synthesis import QUIETEST

SIDE_WEIGHT = 0.5
DB_PER_LEVEL = 8.686
"""Levels are natural logarithms, but for the quietest."""


def ear_weights(config: CodecConfig, device: torch.device | str = "cpu") -> Tensor:
    """How much each of a spectrum's numbers counts, 1 in the mean: the part that its bin is of a critical band there (Glasberg and Moore 1990)."""
    hertz = torch.linspace(0, config.sample_rate / 2, config.spectrum_size // 2 + 1, device=device)
    bands = 1 / (24.7 + 0.108 * hertz)
    both = torch.cat([bands, SIDE_WEIGHT * bands])
    return both / both.mean()


def level_loss(decoded: Tensor, levels: Tensor, weights: Tensor) -> Tensor:
    """Mean absolute difference, weighted. Levels (batch, spectra, numbers)."""
    return ((decoded - levels).abs() * weights).mean()


def relative_loss(decoded: Tensor, levels: Tensor) -> Tensor:
    """Error of the magnitudes over their own size, by each piece's spectra together: what is loud counts."""
    ours, theirs = (QUIETEST * x.clamp(max=10).expm1() for x in (decoded, levels))
    return ((ours - theirs).norm(dim=(1, 2)) / theirs.norm(dim=(1, 2)).clamp(min=1e-2)).mean()
