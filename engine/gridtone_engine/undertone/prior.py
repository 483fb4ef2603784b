"""The prior: a transformer that says, frame by frame, which codes come next.

Codes stand in the delay pattern (MusicGen, Copet et al. 2023): at a step, codebook k has frame `step - k`, so that one step a frame is enough and each codebook
still sees those before it. What is asked for is added to every position: it may change on the way. Positions are rotations (RoPE, Su et al. 2021) and only
the last `window` of them are seen: a track has no end.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gridtone_engine.prompt import INSTRUMENTS
from gridtone_engine.undertone.conditions import SENTENCE_WIDTH, SIZES
from gridtone_engine.undertone.configs import LONGEST_WAVE, PriorConfig


class Condition(nn.Module):
    """What is asked for, (batch, 6), (batch, 2 * instruments) and (batch, 512), as one vector (batch, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Embedding(size, width) for size in SIZES)
        self.instruments = nn.Linear(2 * len(INSTRUMENTS), width, bias=False)
        self.sentence = nn.Linear(SENTENCE_WIDTH, width, bias=False)
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, steps: Tensor, instruments: Tensor, sentence: Tensor) -> Tensor:
        told = torch.stack([embedding(steps[:, place]) for place, embedding in enumerate(self.steps)]).sum(0)
        return self.mix(told + self.instruments(instruments) + self.sentence(sentence))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read = nn.Linear(width, 3 * width, bias=False)
        self.write = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """A sequence (batch, time, width); `mask` (time, time) is true where a row may see a column."""
        query, key, value = self._heads(x, cos, sin)
        return self._after(x, F.scaled_dot_product_attention(query, key, value, attn_mask=mask))

    def step(self, x: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One position (batch, 1, width) over what is kept, (batch, heads, window, head width); `mask` (batch, window) is added to its scores.

        Returns the output and this position's own key and value, (batch, heads, head width).
        """
        query, key, value = self._heads(x, cos, sin)
        query = query * query.shape[-1] ** -0.5
        scores = torch.cat([query @ keys.transpose(2, 3) + mask[:, None, None], (query * key).sum(-1, keepdim=True)], dim=-1)
        weights = scores.float().softmax(-1).to(x.dtype)
        seen = weights[..., :-1] @ values + weights[..., -1:] * value
        return self._after(x, seen), key[:, :, 0], value[:, :, 0]

    def _heads(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in self.read(self.before_attention(x)).chunk(3, dim=-1))
        return rotate(query, cos, sin), rotate(key, cos, sin), value

    def _after(self, x: Tensor, seen: Tensor) -> Tensor:
        x = x + self.write(seen.transpose(1, 2).flatten(2))
        return x + self.mlp(self.before_mlp(x))


class Prior(nn.Module):
    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        self.condition = Condition(config.width)
        self.codes = nn.ModuleList(nn.Embedding(config.codes + 1, config.width) for _ in range(config.codebooks))
        self.layers = cast("Sequence[Layer]", nn.ModuleList(Layer(config.width, config.heads) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)
        self.heads = nn.Linear(config.width, config.codebooks * config.codes, bias=False)
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=0.02)
        for layer in self.layers:
            for quiet in (layer.write.weight, cast("Tensor", layer.mlp[2].weight)):
                nn.init.normal_(quiet, std=0.02 / (2 * config.depth) ** 0.5)

    @property
    def nothing(self) -> int:
        """The code that stands where there is no frame yet."""
        return self.config.codes

    def forward(self, codes: Tensor, condition: Tensor) -> Tensor:
        """Delayed codes (batch, codebooks, steps), each step's own included, and `condition(...)`: logits (batch, codebooks, steps, codes) of every step from
        those before it."""
        before = F.pad(codes, (1, -1), value=self.nothing)
        steps = torch.arange(codes.shape[2], device=codes.device)
        back = steps[:, None] - steps
        mask = (back >= 0) & (back <= self.config.window)
        cos, sin = rotations(steps[None], self.config.width // self.config.heads, condition.dtype)
        x = self._embed(before) + condition[:, None]
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        return self.heads(self.norm(x)).unflatten(2, (self.config.codebooks, -1)).transpose(1, 2)

    def step(self, codes: Tensor, condition: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The codes of the step before, (batch, codebooks), to logits (batch, codebooks, codes).

        Over keys and values (layers, batch, heads, window, head width); also returns those to keep, (layers, batch, heads, head width).
        """
        x = self._embed(codes[:, :, None]) + condition[:, None]
        kept_keys, kept_values = [], []
        for number, layer in enumerate(self.layers):
            x, key, value = layer.step(x, cos, sin, keys[number], values[number], mask)
            kept_keys.append(key)
            kept_values.append(value)
        logits = self.heads(self.norm(x))[:, 0].unflatten(1, (self.config.codebooks, -1))
        return logits, torch.stack(kept_keys), torch.stack(kept_values)

    def _embed(self, codes: Tensor) -> Tensor:
        return torch.stack([embedding(codes[:, book]) for book, embedding in enumerate(self.codes)]).sum(0)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def rotations(positions: Tensor, head_width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines (batch, 1, time, head width / 2) of positions (batch, time)."""
    rates = LONGEST_WAVE ** (-torch.arange(0, head_width, 2, device=positions.device, dtype=torch.float64) / head_width)
    angles = positions[:, None, :, None].double() * rates
    return angles.cos().to(dtype), angles.sin().to(dtype)


def delay(codes: Tensor, nothing: int) -> Tensor:
    """Codes (batch, codebooks, frames) in the delay pattern, (batch, codebooks, frames + codebooks - 1)."""
    books, frames = codes.shape[1:]
    delayed = codes.new_full((codes.shape[0], books, frames + books - 1), nothing)
    for book in range(books):
        delayed[:, book, book : book + frames] = codes[:, book]
    return delayed


def prior_loss(prior: Prior, codes: Tensor, condition: Tensor) -> Tensor:
    """Cross-entropy in nats a code of codes (batch, codebooks, frames); each codebook counts the same."""
    delayed = delay(codes, prior.nothing)
    logits = prior(delayed, condition)
    return F.cross_entropy(logits.flatten(0, 2).float(), delayed.flatten(), ignore_index=prior.nothing)
