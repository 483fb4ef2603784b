"""The prior: a transformer that says, frame by frame, which codes come next.

Codes stand in the delay pattern (MusicGen, Copet et al. 2023): the higher a codebook's share of the spectrum, the later a frame's code of it is chosen, so that
one step a frame is enough and overtones still see the notes they belong to. What is asked for is added to every position at every layer: it may change on the
way. Positions are rotations (RoPE, Su et al. 2021) and only
the last `window` of them are seen: a track has no end.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gridtone_engine.prompt import INSTRUMENTS
from gridtone_engine.undertone.conditions import SENTENCE_WIDTH, SIZES
from gridtone_engine.undertone.configs import LONGEST_WAVE, PriorConfig
from gridtone_engine.undertone.lead_sheet import CLOCK_WIDTH, DRUMS, HARMONY_WIDTH, KEYS, LINES, PITCHES

NEAR_FRAMES = 2
"""Of the lead sheet: a frame and the next one, whose notes begin within its window."""
STEADINESS = 1.5
"""Of codes before training, where distances are counted in their spread."""


class Condition(nn.Module):
    """What is asked for, (batch, 6), (batch, 2 * instruments) and (batch, 512), as a vector for every layer, (batch, depth * width)."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(nn.Embedding(size, width) for size in SIZES)
        self.instruments = nn.Linear(2 * len(INSTRUMENTS), width, bias=False)
        self.sentence = nn.Linear(SENTENCE_WIDTH, width, bias=False)
        self.mix = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, depth * width))

    def forward(self, steps: Tensor, instruments: Tensor, sentence: Tensor) -> Tensor:
        told = torch.stack([embedding(steps[:, place]) for place, embedding in enumerate(self.steps)]).sum(0)
        return self.mix(told + self.instruments(instruments) + self.sentence(sentence))


class Reading(nn.Module):
    """The lead sheet, (batch, steps and the frames around them, SHEET_WIDTH), as a vector for every step, (batch, steps, width)."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.around, self.delays = config.around, range(max(config.delays) + 1)
        self.harmony = nn.Linear(HARMONY_WIDTH, config.width, bias=False)
        self.notes = nn.Linear(2 * LINES, config.read_width, bias=False)
        self.gather = nn.Linear(len(config.around) * config.read_width, config.width, bias=False)

    def forward(self, sheets: Tensor) -> Tensor:
        steps = sheets.shape[1] - len(self.around) + 1
        notes = self.notes(sheets[..., HARMONY_WIDTH:])
        gathered = torch.cat([notes[:, first : first + steps] for first in range(len(self.around))], dim=-1)
        now = -self.around[0]
        return self.harmony(sheets[:, now : now + steps, :HARMONY_WIDTH]) + self.gather(gathered)

    def keys(self, sheets: Tensor) -> Tensor:
        """What is struck and what is held, whoever plays it, in the frames whose codes are chosen at each step, by their delay, and the ones after:
        (delays, batch, steps, NEAR_FRAMES * 2 * KEYS)."""
        steps, now = sheets.shape[1] - len(self.around) + 1, -self.around[0]
        staves, drums = sheets[..., HARMONY_WIDTH:].unflatten(2, (2, LINES)).split([LINES - len(DRUMS), len(DRUMS)], dim=3)
        keys = torch.cat([staves.unflatten(3, (-1, PITCHES)).sum(3), drums], dim=3).flatten(2)
        near = torch.cat([keys[:, later : keys.shape[1] - NEAR_FRAMES + 1 + later] for later in range(NEAR_FRAMES)], dim=2)
        return torch.stack([near[:, now - delay : now - delay + steps] for delay in self.delays])


class Codes(nn.Module):
    """Codes in and out of the transformer by numbers that stand for them: a code that was never met is known by those like it."""

    first: Tensor
    """Row of each codebook's first code."""
    delay: Tensor
    """Of each codebook."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        books = config.codebooks
        self.codes = config.codes
        self.heard = nn.Embedding(books * (config.codes + 1), config.heard_width)
        self.said = nn.Parameter(torch.randn(books, config.said_width, config.codes))
        self.bias = nn.Parameter(torch.zeros(books, 1, config.codes))
        self.again = nn.Parameter(torch.zeros(books, config.heard_width, config.said_width))
        self.played = nn.Parameter(torch.zeros(books, NEAR_FRAMES * 2 * KEYS, config.said_width))
        self.read = nn.Linear(books * config.heard_width, config.width)
        self.write = nn.Linear(config.width, books * config.said_width)
        self.register_buffer("first", torch.arange(books) * (config.codes + 1), persistent=False)
        self.delays = config.delays
        self.register_buffer("delay", torch.tensor(config.delays), persistent=False)

    def begin(self, vectors: Tensor) -> None:
        """Take a codec's vectors (codebooks, codes, width) for the numbers, each codebook's of the same spread, and a 1 for what is heard at all.

        Before training, what sounds goes on: the chance of a code falls with its squared distance from the one before.
        """
        alike = (vectors - vectors.mean(1, keepdim=True)) / vectors.std(dim=(1, 2), keepdim=True)
        width = vectors.shape[2]
        with torch.no_grad():
            self.heard.weight.copy_(F.pad(F.pad(alike, (0, 1), value=1.0), (0, 0, 0, 1)).flatten(0, 1))
            self.said[:, :width], self.said[:, width] = alike.transpose(1, 2), -alike.square().sum(-1) / 2
            self.again[:, :, : width + 1] = STEADINESS * torch.eye(width + 1)

    def hear(self, codes: Tensor) -> Tensor:
        """(batch, codebooks, time) -> (batch, time, codebooks, heard width)."""
        return self.heard(codes.transpose(1, 2) + self.first)

    def logits(self, x: Tensor, heard: Tensor, keys: Tensor) -> Tensor:
        """The transformer's output (batch, time, width), what `hear` gave it and what `Reading.keys` says -> (codebooks, batch * time, codes).

        Each codebook's own code before and the notes of its frame come past the transformer: what sounds goes on more often than not, what is struck begins.
        """
        spoken = self._written(x).transpose(0, 1)
        spoken = torch.baddbmm(spoken, heard.flatten(0, 1).transpose(0, 1), self.again)
        spoken = torch.baddbmm(spoken, keys.flatten(1, 2)[self.delay], self.played)
        return torch.baddbmm(self.bias, spoken, self.said)

    def each(self, x: Tensor, heard: Tensor, keys: Tensor, books: Iterable[int]) -> Iterator[Tensor]:
        """The same of some `books`, one after another, (batch * time, codes): of whole sequences, all at once, they are memory that takes a CPU longer to fetch
        than to fill."""
        written, before, keys = self._written(x).unbind(1), heard.flatten(0, 1).unbind(1), keys.flatten(1, 2)
        again, played, said, bias = (part.unbind() for part in (self.again, self.played, self.said, self.bias))
        for book in books:
            spoken = written[book] + before[book] @ again[book] + keys[self.delays[book]] @ played[book]
            yield torch.addmm(bias[book], spoken, said[book])

    def _written(self, x: Tensor) -> Tensor:
        """(batch * time, codebooks, said width)."""
        return self.write(x).flatten(0, 1).unflatten(1, (len(self.said), -1))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read = nn.Linear(width, 3 * width, bias=False)
        self.write = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """A sequence (batch, time, width)."""
        query, key, value = self._heads(x, cos, sin)
        return self._after(x, F.scaled_dot_product_attention(query, key, value, is_causal=True))

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
        self.condition = Condition(config.width, config.depth)
        self.sheet = Reading(config)
        self.codes = Codes(config)
        self.layers = cast("Sequence[Layer]", nn.ModuleList(Layer(config.width, config.heads) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=0.02)
        for layer in self.layers:
            for quiet in (layer.write.weight, cast("Tensor", layer.mlp[2].weight)):
                nn.init.normal_(quiet, std=0.02 / (2 * config.depth) ** 0.5)
        for told in (self.sheet.harmony.weight[:, :CLOCK_WIDTH], self.sheet.notes.weight):
            nn.init.normal_(told, std=0.2)
        for silent in self.codes.write.parameters():  # before training every code is as likely as any
            nn.init.zeros_(silent)

    @property
    def nothing(self) -> int:
        """The code that stands where there is no frame yet."""
        return self.config.codes

    def forward(self, before: Tensor, condition: Tensor, sheets: Tensor, books: Iterable[int]) -> Iterator[Tensor]:
        """Every step's codes of the step before, delayed, (batch, codebooks, steps), `condition(...)` and the lead sheet
        (batch, steps and the frames around them, SHEET_WIDTH): logits (batch * steps, codes) of every step, of one codebook after another."""
        steps = torch.arange(before.shape[2], device=before.device)
        if len(steps) > self.config.window + 1:
            raise ValueError(f"{len(steps)} steps are more than the window of {self.config.window}: train on shorter crops")
        cos, sin = rotations(steps[None], self.config.width // self.config.heads, condition.dtype)
        heard = self.codes.hear(before)
        x = self.codes.read(heard.flatten(2)) + self.sheet(sheets)
        for layer, told in zip(self.layers, condition.chunk(self.config.depth, dim=1), strict=True):
            x = layer(x + told[:, None], cos, sin)
        return self.codes.each(self.norm(x), heard, self.sheet.keys(sheets), books)

    def step(
        self, codes: Tensor, condition: Tensor, sheets: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The codes of the step before, (batch, codebooks), and the lead sheet around this step, (batch, frames, SHEET_WIDTH), to logits
        (batch, codebooks, codes).

        Over keys and values (layers, batch, heads, window, head width); also returns those to keep, (layers, batch, heads, head width).
        """
        heard = self.codes.hear(codes[:, :, None])
        x = self.codes.read(heard.flatten(2)) + self.sheet(sheets)
        kept_keys, kept_values = [], []
        for number, (layer, told) in enumerate(zip(self.layers, condition.chunk(self.config.depth, dim=1), strict=True)):
            x, key, value = layer.step(x + told[:, None], cos, sin, keys[number], values[number], mask)
            kept_keys.append(key)
            kept_values.append(value)
        return self.codes.logits(self.norm(x), heard, self.sheet.keys(sheets)).transpose(0, 1), torch.stack(kept_keys), torch.stack(kept_values)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def rotations(positions: Tensor, head_width: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines (batch, 1, time, head width / 2) of positions (batch, time)."""
    rates = LONGEST_WAVE ** (-torch.arange(0, head_width, 2, device=positions.device, dtype=torch.float64) / head_width)
    angles = positions[:, None, :, None].double() * rates
    return angles.cos().to(dtype), angles.sin().to(dtype)


def delay(codes: Tensor, config: PriorConfig) -> Tensor:
    """Codes (batch, codebooks, frames) in the delay pattern, (batch, codebooks, frames + the longest delay)."""
    frames = codes.shape[2]
    delayed = codes.new_full((*codes.shape[:2], frames + max(config.delays)), config.codes)
    for book, steps in enumerate(config.delays):
        delayed[:, book, steps : steps + frames] = codes[:, book]
    return delayed


def prior_loss(prior: Prior, codes: Tensor, condition: Tensor, sheets: Tensor, books: Sequence[int] | None = None, seen: Tensor | None = None) -> Tensor:
    """Cross-entropy in nats a code of codes (batch, codebooks, frames); each codebook counts the same. Of some codebooks or all: what they cost is mostly
    their logits. `seen` (batch, codebooks, frames) is what those after them see in their place, `nothing` where they see nothing."""
    delayed = delay(codes, prior.config)
    before = delayed if seen is None else delay(seen, prior.config)
    books = range(prior.config.codebooks) if books is None else books
    logits = prior(F.pad(before, (1, -1), value=prior.nothing), condition, sheets, books)
    losses = [F.cross_entropy(said, delayed[:, book].flatten(), ignore_index=prior.nothing) for book, said in zip(books, logits, strict=True)]
    return torch.stack(losses).mean()
