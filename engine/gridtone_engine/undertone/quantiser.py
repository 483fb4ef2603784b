"""Vector quantisation, share by share: a codebook for each share of the spectrum (product quantisation, Jégou, Douze and Schmid 2011).

Residual quantisation spends every codebook on the whole spectrum, whose sounds are too many to name: with as many bits, and nothing else learned, it kept fewer
notes. Codebooks are k-means centres: learned by gradients, most of their vectors are never used.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

AT_ONCE = 4096
"""Vectors whose distances are held in memory."""


class Quantiser(nn.Module):
    vectors: Tensor

    def __init__(self, codebooks: int, codes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(codebooks, codes, width))

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (batch, time, codebooks, width) -> codes (batch, codebooks, time)."""
        return torch.stack([nearest(latents[:, :, book], vectors) for book, vectors in enumerate(self.vectors)], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (batch, codebooks, time) -> latents (batch, time, codebooks, width)."""
        return torch.stack([F.embedding(codes[:, book], vectors) for book, vectors in enumerate(self.vectors)], dim=2)

    def jittered(self, codes: Tensor, most: float, generator: torch.Generator) -> Tensor:
        """Codes (batch, codebooks, time) with noise, each of the batch by a size of its own, of `most` times the spread of each codebook's vectors at most. The
        generator is of the codes' device."""
        latents = self.decode(codes)
        sizes = most * torch.rand(len(codes), 1, 1, 1, generator=generator, device=codes.device)
        noise = sizes * torch.randn(latents.shape, generator=generator, device=codes.device)
        return self.encode(latents + noise * self.vectors.std(dim=1))

    @torch.no_grad()
    def initialise(self, latents: Tensor, generator: torch.Generator, rounds: int = 15) -> None:
        """Put every codebook on the k-means centres of its share of `latents` (n, codebooks, width); a centre that nothing is near begins anew elsewhere."""
        for book in range(len(self.vectors)):
            share = latents[:, book].contiguous()
            vectors = _some(share, self.vectors.shape[1], generator)
            for _ in range(rounds):
                chosen = torch.cat([nearest(some, vectors) for some in share.split(AT_ONCE)])
                counts = torch.zeros(len(vectors), device=share.device).index_add_(0, chosen, torch.ones(len(chosen), device=share.device))
                sums = torch.zeros_like(vectors).index_add_(0, chosen, share)
                vectors = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), _some(share, len(vectors), generator))
            self.vectors[book] = vectors


def nearest(latents: Tensor, vectors: Tensor) -> Tensor:
    """Index of the nearest vector, (..., width) -> (...), by |c|² - 2xc."""
    return F.linear(latents, -2 * vectors, vectors.square().sum(-1)).argmin(-1)


def _some(latents: Tensor, count: int, generator: torch.Generator) -> Tensor:
    return latents[torch.randint(len(latents), (count,), generator=generator).to(latents.device)]
