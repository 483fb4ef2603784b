"""The VQ-VAE: audio to three sequences of codes, and codes back to audio (section 3 of the paper).

Each level is an auto-encoder of its own, from audio to audio; they share nothing, so any level alone can be heard.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gridtone_engine.jukebox.configs import VQVAEConfig


class ResidualBlock(nn.Module):
    """A dilated convolution and a 1x1, each after a ReLU, added to the input."""

    def __init__(self, width: int, dilation: int, scale: float = 1.0) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.mix(F.relu(self.dilated(F.relu(x))))


def residual_stack(width: int, dilations: Sequence[int], scale: float = 1.0) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width, dilation, scale) for dilation in dilations))


class Downsample(nn.Module):
    """Halve the time axis `downs` times, with a residual stack after each, and project to `out_width`."""

    def __init__(self, in_width: int, width: int, out_width: int, downs: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.shrink = nn.ModuleList(nn.Conv1d(width if i else in_width, width, 4, stride=2, padding=1) for i in range(downs))
        self.residual = nn.ModuleList(residual_stack(width, dilations) for _ in range(downs))
        self.project = nn.Conv1d(width, out_width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for shrink, residual in zip(self.shrink, self.residual, strict=True):
            x = residual(shrink(x))
        return self.project(x)


class Upsample(nn.Module):
    """The mirror of `Downsample`: project to `width`, then double the time axis `downs` times. Also the body of an upsampler's conditioner."""

    def __init__(self, in_width: int, width: int, out_width: int, downs: int, dilations: Sequence[int], scale: float = 1.0) -> None:
        super().__init__()
        self.project = nn.Conv1d(in_width, width, 3, padding=1)
        self.residual = nn.ModuleList(residual_stack(width, dilations, scale) for _ in range(downs))
        self.stretch = nn.ModuleList(nn.ConvTranspose1d(width, width if i < downs - 1 else out_width, 4, stride=2, padding=1) for i in range(downs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(x)
        for residual, stretch in zip(self.residual, self.stretch, strict=True):
            x = stretch(residual(x))
        return x


class Codebook(nn.Module):
    """Vectors that latents are rounded to. They are learned by moving averages, not by gradients: see `training.CodebookTrainer`."""

    vectors: Tensor

    def __init__(self, codes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(codes, width))

    def quantise(self, latents: Tensor) -> Tensor:
        """The nearest vector to each latent, (batch, width, time) -> (batch, time), by |x|² - 2xc + |c|²."""
        x = latents.transpose(1, 2).flatten(0, 1)
        distances = x.square().sum(-1, keepdim=True) - 2 * x @ self.vectors.T + self.vectors.T.square().sum(0)
        return distances.argmin(-1).view(latents.shape[0], latents.shape[2])

    def dequantise(self, codes: Tensor) -> Tensor:
        """(batch, time) -> (batch, width, time)."""
        return F.embedding(codes, self.vectors).transpose(1, 2)


class AutoEncoder(nn.Module):
    """One level: the encoder walks down through the hops of all levels below it, the decoder back up."""

    def __init__(self, config: VQVAEConfig, level: int) -> None:
        super().__init__()
        width, depth = config.width * config.multipliers[level], config.depth * config.multipliers[level]
        dilations = [config.dilation_growth**i for i in range(depth)]
        downs = config.downs[: level + 1]
        self.encoder = nn.ModuleList(Downsample(config.code_width if i else 1, width, config.code_width, down, dilations) for i, down in enumerate(downs))
        self.codebook = Codebook(config.codes, config.code_width)
        self.decoder = nn.ModuleList(Upsample(config.code_width, width, config.code_width, down, dilations[::-1]) for down in downs)
        self.output = nn.Conv1d(config.code_width, 1, 3, padding=1)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (batch, 1, samples) -> latents (batch, code width, samples / hop)."""
        x = audio
        for downsample in self.encoder:
            x = downsample(x)
        return x

    def decode(self, latents: Tensor) -> Tensor:
        """The way back, (batch, 1, samples)."""
        x = latents
        for upsample in reversed(self.decoder):
            x = upsample(x)
        return self.output(x)


class VQVAE(nn.Module):
    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.levels = cast("Sequence[AutoEncoder]", nn.ModuleList(AutoEncoder(config, level) for level in range(config.levels)))

    def encode(self, audio: Tensor) -> list[Tensor]:
        """Audio (batch, samples) in [-1, 1] to codes (batch, samples // hop), level 0 first. Samples past the last whole hop of the top are dropped."""
        samples = audio.shape[-1] // self.config.hops[-1] * self.config.hops[-1]
        if samples == 0:
            raise ValueError(f"{audio.shape[-1]} samples are less than one code of the top level, {self.config.hops[-1]} samples")
        wave = audio[:, None, :samples]
        return [level.codebook.quantise(level.encode(wave)) for level in self.levels]

    def decode(self, codes: Tensor, level: int = 0) -> Tensor:
        """Codes (batch, time) of one level to audio (batch, time * hop). Not clipped."""
        auto_encoder = self.levels[level]
        return auto_encoder.decode(auto_encoder.codebook.dequantise(codes))[:, 0]
