"""Residual vector quantisation: each codebook rounds what those before it left over (SoundStream, Zeghidour et al. 2021).

Codebooks are learned by moving averages, not by gradients, begin at the centres that k-means finds in the data, and a vector that nobody chooses is seated on
the data anew: learned by gradients alone, 5 to 28 of 1024 vectors were ever used.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_USE = 0.01
"""A vector whose moving count of latents a batch falls under this share of an even count is restarted."""


class ResidualQuantiser(nn.Module):
    vectors: Tensor
    counts: Tensor
    sums: Tensor
    ready: Tensor

    def __init__(self, codebooks: int, codes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(codebooks, codes, width))
        self.register_buffer("counts", torch.ones(codebooks, codes))
        self.register_buffer("sums", torch.zeros(codebooks, codes, width))
        self.register_buffer("ready", torch.tensor(False))

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (batch, time, width) -> codes (batch, codebooks, time)."""
        rest, codes = latents, []
        for vectors in self.vectors:
            codes.append(nearest(rest, vectors))
            rest = rest - F.embedding(codes[-1], vectors)
        return torch.stack(codes, dim=1)

    def decode(self, codes: Tensor, kept: Tensor | None = None) -> Tensor:
        """Codes (batch, codebooks, time) -> latents (batch, time, width). Fewer codebooks give rougher latents; so does `kept` (batch,), how many count."""
        looked_up = torch.stack([F.embedding(codes[:, book], self.vectors[book]) for book in range(codes.shape[1])])
        if kept is not None:
            looked_up = looked_up * (torch.arange(len(looked_up), device=kept.device)[:, None] < kept)[..., None, None]
        return looked_up.sum(0)

    @torch.no_grad()
    def initialise(self, latents: Tensor, generator: torch.Generator, rounds: int = 12) -> None:
        """Put every codebook on the k-means centres of what its predecessors leave of `latents` (n, width)."""
        rest = latents
        for book in range(len(self.vectors)):
            vectors = _some(rest, self.vectors.shape[1], generator)
            for _ in range(rounds):
                counts, sums = _gather(rest, nearest(rest, vectors), len(vectors))
                vectors = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp(min=1), vectors)
            self.vectors[book] = vectors
            even = len(rest) / len(vectors)
            self.counts[book], self.sums[book] = even, vectors * even
            rest = rest - F.embedding(nearest(rest, vectors), vectors)
        self.ready.fill_(True)

    @torch.no_grad()
    def update(self, latents: Tensor, decay: float, generator: torch.Generator) -> int:
        """Move the vectors to the moving means of the latents (n, width) that chose them. Returns how many unused ones were restarted."""
        rest, restarted = latents, torch.zeros((), dtype=torch.int64, device=latents.device)
        for book, vectors in enumerate(self.vectors):
            codes = nearest(rest, vectors)
            left = rest - F.embedding(codes, vectors)
            counts, sums = _gather(rest, codes, len(vectors))
            self.counts[book].lerp_(counts, 1 - decay)
            self.sums[book].lerp_(sums, 1 - decay)
            even = len(rest) / len(vectors)
            unused = self.counts[book] < LEAST_USE * even
            seats = _some(rest, len(vectors), generator)
            self.counts[book] = torch.where(unused, even, self.counts[book])
            self.sums[book] = torch.where(unused[:, None], seats * even, self.sums[book])
            vectors.copy_(self.sums[book] / self.counts[book][:, None])
            restarted += unused.sum()
            rest = left
        return int(restarted)


def nearest(latents: Tensor, vectors: Tensor) -> Tensor:
    """Index of the nearest vector, (..., width) -> (...), by |c|² - 2xc."""
    return (vectors.square().sum(-1) - 2 * latents @ vectors.T).argmin(-1)


def _gather(latents: Tensor, codes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    counts = torch.zeros(count, device=latents.device).index_add_(0, codes, torch.ones_like(codes, dtype=latents.dtype))
    return counts, torch.zeros(count, latents.shape[1], device=latents.device).index_add_(0, codes, latents)


def _some(latents: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` latents, shaken a little so that no two are equal."""
    picked = latents[torch.randint(len(latents), (count,), generator=generator).to(latents.device)]
    return picked + 0.01 * latents.std() * torch.randn(picked.shape, generator=generator).to(latents.device)
