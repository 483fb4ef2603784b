"""What a prior is conditioned on: labels and timing, the level above, and lyrics (sections 4.2 and 4.3 of the paper)."""

import math

import torch
from torch import Tensor, nn

from gridtone_engine.jukebox.configs import ConditionerConfig, LabelConfig, LyricsConfig
from gridtone_engine.jukebox.transformer import Transformer
from gridtone_engine.jukebox.vqvae import Upsample


class TimingEmbedding(nn.Module):
    """One vector for each of `bins` equal parts of [low, high)."""

    def __init__(self, bins: int, low: float, high: float, width: int) -> None:
        super().__init__()
        self.vectors = nn.Embedding(bins, width)
        self.low, self.high = low, high

    def forward(self, value: Tensor) -> Tensor:
        """Values (batch, n) -> (batch, n, width). Raises IndexError outside [low, high)."""
        return self.vectors((self.vectors.num_embeddings * ((value - self.low) / (self.high - self.low))).floor().long())


class LabelConditioner(nn.Module):
    """Artist and genres give the vector that stands before the first code; timing gives one vector for each code."""

    def __init__(self, config: LabelConfig, width: int, codes_context: int, sample_rate: int) -> None:
        super().__init__()
        self.codes_context = codes_context
        self.artists = nn.Embedding(config.artists, width)
        self.genres = nn.Embedding(config.genres, width)
        self.timed = config.timing_bins is not None
        if config.timing_bins is not None:
            shortest, longest = config.shortest_seconds * sample_rate, config.longest_seconds * sample_rate
            self.total_length = TimingEmbedding(config.timing_bins, shortest, longest, width)
            self.absolute = TimingEmbedding(config.timing_bins, 0.0, longest, width)
            self.relative = TimingEmbedding(config.timing_bins, 0.0, 1.0, width)

    def forward(self, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """Label vectors (batch, 4 + genres), as in `labels.label_vector` -> start (batch, width), timing (batch, codes, width)."""
        artist, genres = y[:, 3], y[:, 4:]
        spoken = (genres >= 0)[..., None]
        start = self.artists(artist) + (self.genres(genres.clamp(min=0)) * spoken).sum(1)
        if not self.timed:
            return start, None
        total, offset, length = (y[:, i : i + 1].float() for i in range(3))
        end = offset + length
        share = torch.arange(self.codes_context, dtype=torch.float32, device=y.device) / self.codes_context
        begin_relative, end_relative = offset / total, (end / total).clamp(max=1.0)
        timing = (
            self.total_length(total) + self.absolute(offset + (end - offset) * share) + self.relative(begin_relative + (end_relative - begin_relative) * share)
        )
        return start, timing


class CodeConditioner(nn.Module):
    """Codes of the level above, brought to this level's rate."""

    def __init__(self, config: ConditionerConfig, codes: int, width: int) -> None:
        super().__init__()
        dilations = [config.dilation_growth ** (i % config.dilation_cycle) for i in range(config.depth)]
        scale = 1 / math.sqrt(config.depth) if config.residual_scale else 1.0
        self.embedding = nn.Embedding(codes, width)
        self.upsample = Upsample(width, config.width, width, config.downs, dilations, scale)
        self.norm = nn.LayerNorm(width)

    def forward(self, codes: Tensor) -> Tensor:
        """(batch, time) -> (batch, time * 2^downs, width)."""
        return self.norm(self.upsample(self.embedding(codes).transpose(1, 2)).transpose(1, 2))


class LyricsEncoder(nn.Module):
    """A small transformer over the characters, trained to predict each from those before it; its states are what cross attention looks at."""

    def __init__(self, config: LyricsConfig, width: int) -> None:
        super().__init__()
        assert config.encoder is not None, "these lyrics stand in the prior's own sequence"
        inner = config.encoder.width
        self.embedding = nn.Embedding(config.vocabulary, inner)
        self.start = nn.Parameter(torch.zeros(1, inner))
        self.positions = nn.Parameter(torch.zeros(config.characters, inner))
        self.transformer = Transformer(config.encoder)
        self.project = nn.Linear(inner, width)
        self.norm = nn.LayerNorm(width)
        self.next_character = nn.Linear(width, config.vocabulary, bias=False)
        """Only for the loss in training."""

    def forward(self, characters: Tensor) -> Tensor:
        """Character ids (batch, characters) -> (batch, characters, width)."""
        x = self.embedding(characters)
        x = torch.cat([self.start.expand(len(x), 1, -1), x[:, :-1]], dim=1) + self.positions
        return self.norm(self.project(self.transformer(x)))
