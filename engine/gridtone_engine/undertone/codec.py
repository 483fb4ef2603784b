"""The codec: 32 kHz stereo to 8 codes at 25 frames a second, and back.

    audio ── STFT ── fast blocks ── /4 ── slow blocks ── latents ── residual quantiser ── codes
    audio ── ISTFT ── fast blocks ── x4 ── slow blocks ── latents ────────┘

Blocks are ConvNeXt's (Liu et al. 2022) in one dimension; that a spectrum instead of samples is predicted makes the decoder cheap (Vocos, Siuzdak 2023).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gridtone_engine.undertone.configs import CodecConfig
from gridtone_engine.undertone.quantiser import ResidualQuantiser

COMPRESSION = 0.3
"""Exponent of the magnitudes that the encoder sees."""


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


class Encoder(nn.Module):
    """Spectra (batch, spectra, bins) -> latents (batch, spectra / 4, latent width)."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.frame_hops = config.frame_hops
        self.read = nn.Sequential(nn.Linear(config.bins, config.width), nn.LayerNorm(config.width))
        self.fast = blocks(config, config.fast_blocks)
        self.gather = nn.Linear(config.frame_hops * config.width, config.width)
        self.slow = blocks(config, config.slow_blocks)
        self.project = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, config.latent_width))

    def forward(self, spectra: Tensor) -> Tensor:
        x = self.fast(self.read(spectra))
        x = x.reshape(x.shape[0], -1, self.frame_hops * x.shape[2])
        return self.project(self.slow(self.gather(x)))


class Decoder(nn.Module):
    """Latents (batch, time, latent width) -> spectra (batch, 4 * time, bins)."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.frame_hops = config.frame_hops
        self.read = nn.Conv1d(config.latent_width, config.width, config.kernel, padding=config.kernel // 2)
        self.slow = blocks(config, config.slow_blocks)
        self.spread = nn.Linear(config.width, config.frame_hops * config.width)
        self.fast = blocks(config, config.fast_blocks)
        self.norm = nn.LayerNorm(config.width)
        self.magnitude = nn.Linear(config.width, config.bins // 2)
        self.phase = nn.Linear(config.width, config.bins // 2)

    def forward(self, latents: Tensor) -> Tensor:
        x = self.slow(self.read(latents.transpose(1, 2)).transpose(1, 2))
        x = self.spread(x).reshape(x.shape[0], self.frame_hops * x.shape[1], x.shape[2])
        x = self.norm(self.fast(x))
        magnitude, phase = self.magnitude(x).clamp(max=6).exp(), self.phase(x)
        return torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], dim=-1)


class Codec(nn.Module):
    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantiser = ResidualQuantiser(config.codebooks, config.codes, config.latent_width)
        self.decoder = Decoder(config)
        self.register_buffer("window", torch.hann_window(config.spectrum_size), persistent=False)
        nn.init.constant_(self.decoder.magnitude.bias, -5.0)  # quiet music, as it is at first

    window: Tensor

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (batch, 2, samples) -> codes (batch, codebooks, samples // hop). Samples past the last whole hop are dropped."""
        return self.quantiser.encode(self.encoder(compress(self.spectra(audio))))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (batch, codebooks, time) -> audio (batch, 2, time * hop). Not clipped."""
        return self.audio(self.decoder(self.quantiser.decode(codes)))

    def spectra(self, audio: Tensor) -> Tensor:
        """(batch, 2, samples) -> (batch, spectra, bins): real parts of middle and side, then imaginary ones, centred on every `spectrum_hop` samples."""
        size, hop = self.config.spectrum_size, self.config.spectrum_hop
        samples = audio.shape[-1] // self.config.hop * self.config.hop
        if samples == 0:
            raise ValueError(f"{audio.shape[-1]} samples are less than one frame of codes, {self.config.hop} samples")
        left, right = audio[..., :samples].float().unbind(1)
        both = torch.stack([left + right, left - right], dim=1) / 2
        edge = (size - hop) // 2
        padded = F.pad(both, (edge, size - hop - edge))
        spectrum = torch.fft.rfft(padded.unfold(-1, size, hop) * self.window, norm="ortho")
        return torch.cat([spectrum.real, spectrum.imag], dim=1).permute(0, 2, 1, 3).flatten(2)

    def audio(self, spectra: Tensor) -> Tensor:
        """The way back, by windowed overlap-add over the sum of the squared windows."""
        size, hop = self.config.spectrum_size, self.config.spectrum_hop
        parts = spectra.float().unflatten(2, (4, -1)).permute(0, 2, 1, 3)
        pieces = torch.fft.irfft(torch.complex(parts[:, :2], parts[:, 2:]), size, norm="ortho") * self.window
        count = spectra.shape[1]
        fold = {"output_size": (1, (count - 1) * hop + size), "kernel_size": (1, size), "stride": (1, hop)}
        added = F.fold(pieces.flatten(0, 1).transpose(1, 2), **fold)[:, 0, 0]
        weight = F.fold(self.window.square()[None, :, None].expand(1, size, count), **fold)[0, 0, 0]
        edge = (size - hop) // 2
        both = (added / weight.clamp(min=1e-3))[:, edge : edge + count * hop].unflatten(0, (-1, 2))
        middle, side = both.unbind(1)
        return torch.stack([middle + side, middle - side], dim=1)


def compress(spectra: Tensor) -> Tensor:
    """Magnitudes to the power of COMPRESSION, phases kept; (batch, spectra, bins) in and out."""
    real, imaginary = spectra.chunk(2, dim=-1)
    magnitude = (real.square() + imaginary.square()).clamp(min=1e-10) ** ((COMPRESSION - 1) / 2)
    return torch.cat([real * magnitude, imaginary * magnitude], dim=-1)
