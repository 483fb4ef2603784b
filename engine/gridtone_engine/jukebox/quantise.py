"""Weights of 8 bits: half the memory and half the bytes a token, for an error that is small and yours to judge (docs/jukebox.md quotes it)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gridtone_engine.jukebox.prior import Prior

Kind = Literal["int8", "fp8"]
_STORED = {"int8": (torch.int8, 127.0), "fp8": (torch.float8_e4m3fn, 448.0)}


class QuantisedLinear(nn.Module):
    """A linear layer with 8-bit weights and one scale for each output. Arithmetic stays in the type of the input."""

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear, kind: Kind) -> None:
        super().__init__()
        dtype, largest = _STORED[kind]
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / largest
        scaled = weight / scale
        self.register_buffer("weight", (scaled.round() if kind == "int8" else scaled).to(dtype))
        self.register_buffer("scale", scale[:, 0].to(linear.weight.dtype))
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight.to(x.dtype)) * self.scale
        return y if self.bias is None else y + self.bias


def quantise(prior: Prior, kind: Kind) -> Prior:
    """Replace the matrices of the transformer, in place; embeddings, norms and the output layer stay as they are."""
    for layer in prior.transformer.layers:
        for module in (layer, layer.attention):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(module, name, QuantisedLinear(child, kind))
    return prior
