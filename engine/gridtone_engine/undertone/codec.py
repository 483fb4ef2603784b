"""The codec: 32 kHz stereo to 25 frames a second of 56 codes each, and back.

    audio ── levels of the spectrum ── shares ── principal components of each ── nearest vector of its codebook ── codes
    audio ── phases ── levels ── + ── principal components' sum ────────────────────────┬─ vectors ────────────────┘
                                 └── fast blocks ── x2 ── slow blocks ──────────────────┘

Only levels are coded, phases are made in `synthesis.py`: there is no room for them. The encoder takes no training but statistics, so that codes stay what they
are however far the decoder is trained. The decoder's networks, ConvNeXt's blocks (Liu et al. 2022) in one dimension, learn from the frames around what rounding
took.
"""

import hashlib

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gridtone_engine.undertone.configs import CodecConfig
from gridtone_engine.undertone.quantiser import Quantiser
from gridtone_engine.undertone.synthesis import LOUDNESS, pooling


class Block(nn.Module):
    """A depthwise convolution over time, then a small perceptron at each place, added to the input. (batch, time, width) in and out."""

    def __init__(self, width: int, kernel: int, expansion: int, scale: float) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.narrow = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor) -> Tensor:
        y = self.over_time(x.transpose(1, 2)).transpose(1, 2)
        return x + self.scale * self.narrow(F.gelu(self.widen(self.norm(y))))


def blocks(config: CodecConfig, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(config.width, config.kernel, config.expansion, 1 / (config.fast_blocks + config.slow_blocks)) for _ in range(count)))


class Decoder(nn.Module):
    """Latents (batch, time, all components) -> what the components lack of levels, (batch, frame hops * time, numbers)."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.frame_hops = config.frame_hops
        self.read = nn.Conv1d(config.codebooks * config.latent_width, config.width, config.kernel, padding=config.kernel // 2)
        self.slow = blocks(config, config.slow_blocks)
        self.spread = nn.Linear(config.width, config.frame_hops * config.width)
        self.fast = blocks(config, config.fast_blocks)
        self.write = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, 4 * config.width), nn.GELU(), silent(nn.Linear(4 * config.width, config.numbers))
        )

    def forward(self, latents: Tensor) -> Tensor:
        x = self.slow(self.read(latents.transpose(1, 2)).transpose(1, 2))
        x = self.spread(x).reshape(x.shape[0], self.frame_hops * x.shape[1], x.shape[2])
        return self.write(self.fast(x))


def silent(layer: nn.Linear) -> nn.Linear:
    """A layer that says nothing until it has learned to."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Codec(nn.Module):
    window: Tensor
    pooling: Tensor
    mean: Tensor
    components: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.quantiser = Quantiser(config.codebooks, config.codes, config.latent_width)
        self.decoder = Decoder(config)
        stacked = config.frame_hops * config.numbers
        self.register_buffer("mean", torch.zeros(stacked))
        self.register_buffer("components", torch.zeros(stacked, config.codebooks * config.latent_width))
        self.register_buffer("window", torch.hann_window(config.spectrum_size), persistent=False)
        self.register_buffer("pooling", torch.from_numpy(pooling(config)), persistent=False)

    @property
    def coding(self) -> str:
        """A name for what gives codes their meaning, in which the decoder has no part."""
        told = (self.mean, self.components, self.quantiser.vectors)
        return hashlib.sha256(b"".join(part.cpu().numpy().tobytes() for part in told)).hexdigest()[:8]

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (batch, 2, samples) -> codes (batch, codebooks, samples // hop). Samples past the last whole hop are dropped."""
        return self.quantiser.encode(self.latents(self.levels(audio)))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (batch, codebooks, time) -> levels (batch, frame hops * time, numbers), some of them below 0."""
        latents = self.quantiser.decode(codes).flatten(2)
        return self.plain(latents) + self.decoder(latents)

    def latents(self, levels: Tensor) -> Tensor:
        """Levels (batch, spectra, numbers) -> the components of every share, (batch, spectra / frame hops, codebooks, latent width)."""
        stacked = levels.reshape(levels.shape[0], -1, len(self.mean))
        return ((stacked - self.mean) @ self.components).unflatten(2, (self.config.codebooks, -1))

    def plain(self, latents: Tensor) -> Tensor:
        """Latents (batch, time, all components) -> levels without what the decoder knows."""
        stacked = latents @ self.components.T + self.mean
        return stacked.reshape(stacked.shape[0], -1, self.config.numbers)

    @torch.no_grad()
    def find_components(self, levels: Tensor) -> None:
        """Of levels (batch, spectra, numbers), for each share."""
        numbers, width = self.config.numbers, self.config.latent_width
        stacked = levels.reshape(-1, len(self.mean))
        self.mean.copy_(stacked.mean(0))
        self.components.zero_()
        for book, (first, last) in enumerate(self.config.shares):
            columns = torch.cat([torch.arange(first, last) + hop * numbers for hop in range(self.config.frame_hops)]).to(stacked.device)
            directions = torch.linalg.eigh(torch.cov(stacked[:, columns].T.double()))[1].flip(1)[:, :width].float()
            self.components[columns, book * width : book * width + directions.shape[1]] = directions

    def levels(self, audio: Tensor) -> Tensor:
        """`synthesis.levels_of`, in torch: (batch, 2, samples) -> (batch, spectra, numbers)."""
        size, hop = self.config.spectrum_size, self.config.spectrum_hop
        samples = audio.shape[-1] // self.config.hop * self.config.hop
        if samples == 0:
            raise ValueError(f"{audio.shape[-1]} samples are less than one frame of codes, {self.config.hop} samples")
        left, right = audio[..., :samples].float().unbind(1)
        both = torch.stack([left + right, left - right], dim=1) / 2
        edge = (size - hop) // 2
        padded = F.pad(both, (edge, size - hop - edge))
        power = torch.fft.rfft(padded.unfold(-1, size, hop) * self.window, norm="ortho").abs().square() @ self.pooling
        return (power ** (LOUDNESS / 2)).permute(0, 2, 1, 3).flatten(2)
