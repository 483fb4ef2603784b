"""Factored attention: the context is a table of rows, and most layers look along one row or one column of it (section 4.1 of the paper).

Every layer has two ways to do the same thing. `forward` takes a whole sequence at once. `step` takes one position a track and a cache.
A cache is a table as well, laid out for reading: a step writes one cell and reads one row of it, so it moves 64 or 128 positions, not 8192.

| kind         | cache rows x span            | position t is written to    | and reads row  | up to column |
|--------------|------------------------------|-----------------------------|----------------|--------------|
| row          | 1 x block length             | 0, t mod length             | 0              | t mod length |
| column       | block length x blocks        | t mod length, t div length  | t mod length   | t div length |
| previous row | 2 x block length             | row's parity, t mod length  | the other      | all          |
| dense        | 1 x context                  | 0, t                        | 0              | t            |
| prime        | 2 x primed positions         | 0, t; later ones 1, unread  | 0              | t            |
| cross        | 1 x lyric characters         | (filled once)               | 0              | all          |

The first row has no previous one: it looks at zeros, in the published models too. Caches start as zeros, which gives that for nothing.
"""

from dataclasses import dataclass
from enum import Enum, auto

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gridtone_engine.jukebox.configs import TransformerConfig


class Kind(Enum):
    ROW = auto()
    COLUMN = auto()
    PREVIOUS_ROW = auto()
    DENSE = auto()
    PRIME = auto()
    CROSS = auto()


CYCLE = (Kind.ROW, Kind.COLUMN, Kind.PREVIOUS_ROW)


def layer_kinds(config: TransformerConfig) -> list[Kind]:
    """The attention of each layer, for the three orders that the published models use."""
    depth = range(config.depth)
    if config.attention_order == 2:
        return [CYCLE[layer % 3] for layer in depth]
    if config.attention_order == 10:  # a look at the lyrics at 18, 28, ..., which the cycle around them does not count
        return [Kind.CROSS if layer >= 18 and layer % 10 == 8 else CYCLE[(layer - max(0, (layer - 9) // 10)) % 3] for layer in depth]
    if config.attention_order == 12:  # every sixteenth layer looks at the lyrics, or at everything
        return [(Kind.PRIME, Kind.PRIME, Kind.DENSE)[layer % 3] if layer % 16 == 15 else CYCLE[layer % 3] for layer in depth]
    raise ValueError(f"attention order {config.attention_order} is none of 2, 10, 12")


def primed_positions(config: TransformerConfig, characters: int) -> int:
    """What prime attention sees: the lyrics, rounded up as the published 1b_lyrics does it (384 characters in 64 blocks: 448)."""
    return (characters // config.blocks + 1) * config.blocks


@dataclass(frozen=True, slots=True)
class Table:
    """The shape of one layer's cache, and where a position is found in it."""

    kind: Kind
    rows: int
    span: int
    block_length: int

    def cell(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """Row and column that `position` is written to."""
        block, within = position // self.block_length, position % self.block_length
        match self.kind:
            case Kind.ROW:
                return torch.zeros_like(position), within
            case Kind.COLUMN:
                return within, block
            case Kind.PREVIOUS_ROW:
                return block % 2, within
            case Kind.PRIME:
                return (position // self.span).clamp(max=1), position % self.span
            case _:
                return torch.zeros_like(position), position

    def kept(self, length: int) -> int:
        """First of `length` positions that the cache still holds after all of them were written."""
        rows_back = {Kind.ROW: 0, Kind.PREVIOUS_ROW: 1}.get(self.kind)
        if rows_back is None:
            return 0
        return max(0, (length - 1) // self.block_length - rows_back) * self.block_length

    def address(self, position: Tensor, dtype: torch.dtype) -> "Address":
        """Where a step at `position` (batch,) writes and reads, as flat indices, so that a step needs no decision on the host."""
        batch = torch.arange(len(position), device=position.device)
        if self.kind is Kind.CROSS:
            return Address(write=None, read=batch, mask=None)
        row, column = self.cell(position)
        write = (batch * self.rows + row) * self.span + column
        if self.kind is Kind.PREVIOUS_ROW:
            return Address(write, batch * 2 + 1 - row, mask=None)
        seen = row if self.kind is Kind.COLUMN else torch.zeros_like(row)
        limit = position if self.kind is Kind.PRIME else column
        later = torch.arange(self.span, device=position.device) > limit[:, None]
        mask = torch.zeros(later.shape, dtype=dtype, device=position.device).masked_fill(later, -torch.inf)
        return Address(write, batch * self.rows + seen, mask[:, None, None])


@dataclass(frozen=True, slots=True)
class Address:
    """Of one step in the caches of one kind: the same for all layers of that kind."""

    write: Tensor | None
    """Cell a track, (batch,), counted over batch x rows x span."""
    read: Tensor
    """Row a track, (batch,), counted over batch x rows."""
    mask: Tensor | None
    """Added to the scores: minus infinity for columns that are not written yet, (batch, 1, 1, span)."""


class Attention(nn.Module):
    def __init__(self, config: TransformerConfig, kind: Kind, characters: int = 0) -> None:
        super().__init__()
        width, inner = config.width, config.attention_width
        self.kind, self.heads, self.inner, self.block_length = kind, config.heads, inner, config.block_length
        rows, span = {
            Kind.ROW: (1, config.block_length),
            Kind.COLUMN: (config.block_length, config.blocks),
            Kind.PREVIOUS_ROW: (2, config.block_length),
            Kind.DENSE: (1, config.context),
            Kind.PRIME: (2, primed_positions(config, characters)),
            Kind.CROSS: (1, characters),
        }[kind]
        self.table = Table(kind, rows, span, config.block_length)
        if kind is Kind.CROSS:
            self.query = nn.Linear(width, inner)
            self.key_value = nn.Linear(width, 2 * inner)
        else:
            self.query_key_value = nn.Linear(width, 3 * inner)
        self.out = nn.Linear(inner, width)

    def new_cache(self, batch: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Keys and values side by side, (batch, rows, span, 2 * attention width)."""
        return torch.zeros(batch, self.table.rows, self.table.span, 2 * self.inner, dtype=dtype, device=device)

    def forward(self, x: Tensor, lyrics: Tensor | None = None, cache: Tensor | None = None) -> Tensor:
        """Positions 0 to length - 1 at once, (batch, length, width). Leaves them in `cache`, where there is one, for steps to go on from."""
        if self.kind is Kind.CROSS:
            assert lyrics is not None, "cross attention needs encoded lyrics"
            query, key_value = self.query(x), self.key_value(lyrics)
            if cache is not None:
                cache[:, 0] = key_value
        else:
            query, key_value = self.query_key_value(x).tensor_split((self.inner,), dim=-1)
            if cache is not None:
                self._remember(key_value, cache)
        key, value = key_value.chunk(2, dim=-1)
        attended = self._attend(self._split(query), self._split(key), self._split(value))
        return self.out(attended.transpose(1, 2).flatten(2))

    def step(self, x: Tensor, cache: Tensor, address: Address) -> Tensor:
        """One position a track, (batch, width), each at its own place."""
        if address.write is None:
            query = self.query(x)
        else:
            query, key_value = self.query_key_value(x).tensor_split((self.inner,), dim=-1)
            cache.flatten(0, 2).index_copy_(0, address.write, key_value)
        seen = cache[:, 0] if self.table.rows == 1 else cache.flatten(0, 1).index_select(0, address.read)
        batch, span, _ = seen.shape
        key, value = seen.view(batch, span, 2, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(query.view(batch, self.heads, 1, -1), key, value, attn_mask=address.mask)
        return self.out(attended.reshape(batch, -1))

    def _remember(self, key_value: Tensor, cache: Tensor) -> None:
        length = key_value.shape[1]
        first = self.table.kept(length)
        row, column = self.table.cell(torch.arange(first, length, device=cache.device))
        cache.zero_()
        cache[:, row, column] = key_value[:, first:]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(batch, heads, length, head width), every position at once."""
        length = q.shape[2]
        match self.kind:
            case Kind.CROSS:
                return F.scaled_dot_product_attention(q, k, v)
            case Kind.DENSE:
                return F.scaled_dot_product_attention(q, k, v, is_causal=True)
            case Kind.PRIME:
                span = min(self.table.span, length)
                mask = torch.ones(length, span, dtype=torch.bool, device=q.device).tril()
                return F.scaled_dot_product_attention(q, k[:, :, :span], v[:, :, :span], attn_mask=mask)
        # Whole rows: what is added after the end is seen by nobody before it.
        padding = -length % self.block_length
        q, k, v = (F.pad(x, (0, 0, 0, padding)).unflatten(2, (-1, self.block_length)) for x in (q, k, v))
        if self.kind is Kind.COLUMN:
            q, k, v = (x.transpose(2, 3) for x in (q, k, v))
        elif self.kind is Kind.PREVIOUS_ROW:
            k, v = (F.pad(x[:, :, :-1], (0, 0, 0, 0, 1, 0)) for x in (k, v))
        shape = q.shape
        q, k, v = (x.flatten(1, 2) for x in (q, k, v))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=self.kind is not Kind.PREVIOUS_ROW).view(shape)
        if self.kind is Kind.COLUMN:
            attended = attended.transpose(2, 3)
        return attended.flatten(2, 3)[:, :, :length]

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
