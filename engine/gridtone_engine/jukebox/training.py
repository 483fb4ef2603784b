"""Training every part (sections 3 and 4 of the paper): the VQ-VAE with moving-average codebooks and restarts, priors and upsamplers by their bits a code.

Loops are the caller's: each class here makes one step on one batch and says how it went, so that schedules, data and checkpoints stay in one's own hands.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gridtone_engine.jukebox.conditioners import LyricsEncoder
from gridtone_engine.jukebox.prior import Prior
from gridtone_engine.jukebox.vqvae import VQVAE, AutoEncoder, Codebook, ResidualBlock

SPECTRA = ((2048, 240, 1200), (1024, 120, 600), (512, 50, 240))
"""Size, hop and window of the spectra that a decoded signal is compared by (appendix B.1)."""
LYRICS_WEIGHT = 0.4


def initialise(module: nn.Module, seed: int, scale: float = 0.02) -> None:
    """Normal weights of deviation `scale` for a prior, its residual branches and those of a VQ-VAE silent at first; convolutions as torch makes them."""
    generator = torch.Generator().manual_seed(seed)
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=scale, generator=generator)
            if isinstance(part, nn.Linear) and part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Conv1d | nn.ConvTranspose1d):
            nn.init.kaiming_uniform_(part.weight, a=5**0.5, generator=generator)
        elif isinstance(part, Prior | LyricsEncoder):
            nn.init.normal_(part.positions, std=scale / 2, generator=generator)
    for part in module.modules():
        if isinstance(part, ResidualBlock):
            for silent in part.mix.parameters():
                nn.init.zeros_(silent)


def spectral_loss(decoded: Tensor, audio: Tensor) -> Tensor:
    """Mean distance of magnitude spectra at three resolutions, relative to the audio's own; (batch, samples) each."""
    losses = []
    for size, hop, length in SPECTRA:
        window = torch.hann_window(length, device=audio.device)
        ours, theirs = (torch.stft(x, size, hop, length, window, return_complex=True).abs() for x in (decoded, audio))
        losses.append((ours - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1).clamp(min=1e-3))
    return torch.stack(losses).mean()


class CodebookTrainer:
    """Moves each vector to the mean of the latents that chose it, and seats a vector that nobody chooses on a latent of the batch."""

    def __init__(self, codebook: Codebook, decay: float, least_use: float = 1.0) -> None:
        """A vector whose moving count of latents a batch falls under `least_use` is restarted."""
        self.codebook, self.decay, self.least_use = codebook, decay, least_use
        self.sums: Tensor | None = None

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> int:
        """Latents (n, width) and what they were rounded to, (n,). Returns how many vectors were restarted."""
        vectors = self.codebook.vectors
        if self.sums is None:
            vectors.copy_(self._some(latents, len(vectors), generator))
            self.sums, self.counts = vectors.clone(), torch.ones(len(vectors), device=vectors.device)
            return len(vectors)
        chosen = F.one_hot(codes, len(vectors)).type_as(latents)
        self.counts.lerp_(chosen.sum(0), 1 - self.decay)
        self.sums.lerp_(chosen.T @ latents, 1 - self.decay)
        unused = self.counts < self.least_use
        self.sums[unused] = self._some(latents, len(vectors), generator)[unused]
        self.counts[unused] = 1.0
        vectors.copy_(self.sums / self.counts[:, None])
        return int(unused.sum())

    def _some(self, latents: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """`count` latents, shaken a little so that no two are equal."""
        picked = latents[torch.randint(len(latents), (count,), generator=generator).to(latents.device)]
        return picked + 0.01 / latents.shape[1] ** 0.5 * torch.randn(picked.shape, generator=generator).to(latents.device)


@dataclass(frozen=True, slots=True)
class VQVAEStep:
    reconstruction: float
    spectral: float
    commit: float
    restarted: int


class VQVAETrainer:
    """Trains the levels of a VQ-VAE, each by itself."""

    def __init__(self, vqvae: VQVAE, learning_rate: float = 3e-4, spectral_weight: float = 1.0, seed: int = 0) -> None:
        self.vqvae, self.spectral_weight = vqvae, spectral_weight
        self.optimiser = torch.optim.Adam(vqvae.parameters(), lr=learning_rate)
        self.codebooks = [CodebookTrainer(level.codebook, vqvae.config.codebook_decay) for level in vqvae.levels]
        self.generator = torch.Generator().manual_seed(seed)

    def step(self, audio: Tensor, *, quantise: bool = True) -> list[VQVAEStep]:
        """One step on audio (batch, samples), whole top codes long. Without `quantise` the codebooks rest: a warm start for encoder and decoder."""
        self.optimiser.zero_grad()
        steps = [self._level(*level, audio, quantise) for level in zip(self.vqvae.levels, self.codebooks, strict=True)]
        self.optimiser.step()
        return steps

    def _level(self, level: AutoEncoder, codebook: CodebookTrainer, audio: Tensor, quantise: bool) -> VQVAEStep:
        latents = level.encode(audio[:, None])
        commit, restarted, heard = latents.new_zeros(()), 0, latents
        if quantise:
            flat = latents.detach().transpose(1, 2).flatten(0, 1)
            restarted = codebook.update(flat, level.codebook.quantise(latents.detach()).flatten(), self.generator)
            rounded = level.codebook.dequantise(level.codebook.quantise(latents.detach()))
            commit = F.mse_loss(latents, rounded)
            heard = latents + (rounded - latents).detach()  # the gradient passes the rounding as if it were not there
        decoded = level.decode(heard)[:, 0]
        reconstruction, spectral = F.mse_loss(decoded, audio), spectral_loss(decoded, audio)
        (reconstruction + self.spectral_weight * spectral + self.vqvae.config.commit * commit).backward()
        return VQVAEStep(reconstruction.item(), spectral.item(), commit.item(), restarted)


def prior_loss(prior: Prior, codes: Tensor, y: Tensor, above: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Loss to train a prior by, and bits a code, for windows `codes` (batch, codes_context), label vectors and the level above.

    Lyrics are learned along with the codes, at a smaller weight.
    """
    conditions = prior.condition(y, above)
    logits = prior(codes, conditions)
    characters = prior.config.lyrics_in_sequence
    bits = _bits(logits[:, characters:], codes + prior.first_code)
    if prior.config.lyrics is None:
        return bits, bits
    if prior.lyrics_encoder is not None:
        assert conditions.lyrics is not None
        lyric_bits = _bits(prior.lyrics_encoder.next_character(conditions.lyrics), y[:, -prior.config.lyrics.characters :])
    else:
        lyric_bits = _bits(logits[:, :characters], conditions.characters)
    share = prior.config.lyrics.characters / (prior.config.lyrics.characters + codes.shape[1])
    return (1 - share) * bits + LYRICS_WEIGHT * share * lyric_bits, bits


def _bits(logits: Tensor, tokens: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), tokens.flatten()) / torch.log(torch.tensor(2.0))


class PriorTrainer:
    """Trains a prior or an upsampler."""

    def __init__(self, prior: Prior, learning_rate: float = 3e-4, clip: float = 1.0) -> None:
        self.prior, self.clip = prior, clip
        self.optimiser = torch.optim.Adam(prior.parameters(), lr=learning_rate, betas=(0.9, 0.95))

    def step(self, codes: Tensor, y: Tensor, above: Tensor | None = None) -> float:
        """One step on a batch of windows, as `prior_loss` takes them. Returns bits a code."""
        self.optimiser.zero_grad()
        loss, bits = prior_loss(self.prior, codes, y, above)
        loss.backward()
        nn.utils.clip_grad_norm_(self.prior.parameters(), self.clip)
        self.optimiser.step()
        return bits.item()
