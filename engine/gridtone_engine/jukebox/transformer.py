"""The stack: factored attention and a small perceptron in turn, each on a residual stream of its own width."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from gridtone_engine.jukebox.attention import Address, Attention, Kind, layer_kinds
from gridtone_engine.jukebox.configs import TransformerConfig


def quick_gelu(x: Tensor) -> Tensor:
    """The sigmoid approximation of GELU, x · sigmoid(1.702 x)."""
    return x * torch.sigmoid(1.702 * x)


class Layer(nn.Module):
    def __init__(self, config: TransformerConfig, kind: Kind, characters: int) -> None:
        super().__init__()
        inner = int(config.mlp_share * config.width)
        self.attention_norm = nn.LayerNorm(config.width)
        self.attention = Attention(config, kind, characters)
        self.mlp_norm = nn.LayerNorm(config.width)
        self.mlp_in = nn.Linear(config.width, inner)
        self.mlp_out = nn.Linear(inner, config.width)

    def mlp(self, x: Tensor) -> Tensor:
        return self.mlp_out(quick_gelu(self.mlp_in(self.mlp_norm(x))))

    def forward(self, x: Tensor, lyrics: Tensor | None, cache: Tensor | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), lyrics, cache)
        return x + self.mlp(x)

    def step(self, x: Tensor, cache: Tensor, address: Address) -> Tensor:
        x = x + self.attention.step(self.attention_norm(x), cache, address)
        return x + self.mlp(x)


class Transformer(nn.Module):
    """`forward` is for training, scoring and prefill; `step` is for sampling. Both give the same numbers, up to rounding."""

    def __init__(self, config: TransformerConfig, characters: int = 0) -> None:
        super().__init__()
        self.config = config
        self.layers = cast("Sequence[Layer]", nn.ModuleList(Layer(config, kind, characters) for kind in layer_kinds(config)))
        self.tables = {layer.attention.kind: layer.attention.table for layer in self.layers}

    def setup_caches(self, batch: int, dtype: torch.dtype, device: torch.device) -> list[Tensor]:
        """One cache a layer, created once; windows come and go in them."""
        return [layer.attention.new_cache(batch, dtype, device) for layer in self.layers]

    def forward(self, x: Tensor, lyrics: Tensor | None = None, caches: list[Tensor] | None = None) -> Tensor:
        """(batch, length, width) -> the same, from position 0. `caches`, if given, are filled for the step at position `length`."""
        for i, layer in enumerate(self.layers):
            x = layer(x, lyrics, caches[i] if caches else None)
        return x

    def step(self, x: Tensor, position: Tensor, caches: list[Tensor]) -> Tensor:
        """One position a track: x (batch, width) at position (batch,). Nothing here waits for the device or depends on its values."""
        address = {kind: table.address(position, x.dtype) for kind, table in self.tables.items()}
        for layer, cache in zip(self.layers, caches, strict=True):
            x = layer.step(x, cache, address[layer.attention.kind])
        return x
