"""A Jukebox of toy size, trained from nothing on one clip until it sings it back."""

import numpy as np
import pytest
import torch
from torch import Tensor

from gridtone_engine.jukebox.configs import ConditionerConfig, JukeboxConfig, LabelConfig, LyricsConfig, PriorConfig, TransformerConfig, VQVAEConfig
from gridtone_engine.jukebox.labels import Labels, LabelSet, label_vector
from gridtone_engine.jukebox.model import JukeboxModel, Track
from gridtone_engine.jukebox.prior import Prior
from gridtone_engine.jukebox.sampling import window_starts
from gridtone_engine.jukebox.training import CodebookTrainer, PriorTrainer, VQVAETrainer, initialise, prior_loss
from gridtone_engine.jukebox.vqvae import VQVAE, Codebook

RATE = 8000
SECONDS = 1.024
LABELS = LabelConfig("v3", genres=2, artists=2, genres_at_most=1, timing_bins=64, shortest_seconds=0.5, longest_seconds=4.0)
VQ = VQVAEConfig(sample_rate=RATE, downs=(3, 1, 1), width=16, depth=2, multipliers=(1, 1, 1), code_width=16, codes=32, codebook_decay=0.9)


def toy_prior(level: int, **parts: object) -> PriorConfig:
    shape = TransformerConfig(width=64, depth=6, heads=2, context=128, blocks=8)
    return PriorConfig(f"toy_{level}", level, VQ.hops[level], shape, LABELS, codes=VQ.codes, sample_rate=RATE, **parts)


CONDITIONER = ConditionerConfig(downs=1, width=32, depth=4, dilation_cycle=4)
TOY = JukeboxConfig("toy", VQ, (toy_prior(0, conditioner=CONDITIONER), toy_prior(1, conditioner=CONDITIONER), toy_prior(2)))
LABEL_SET = LabelSet("v3", {"unknown": 0}, {"unknown": 0})


def clip() -> Tensor:
    """Four notes with overtones, each with an attack."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    note, since = (time * 4).astype(int) % 4, time * 4 % 1
    frequency = np.array([220.0, 330.0, 277.2, 440.0])[note]
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    wave = (np.sin(phase) + 0.4 * np.sin(2 * phase)) * np.exp(-2 * since) * np.minimum(1, since * 40)
    return torch.from_numpy((0.5 * wave).astype(np.float32))


def similarity(a: Tensor, b: Tensor) -> float:
    return torch.nn.functional.cosine_similarity(a, b, dim=0).item()


def trained_toy(audio: Tensor) -> JukeboxModel:
    """A minute on one CPU thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    vqvae = VQVAE(VQ)
    initialise(vqvae, seed=0)
    trainer = VQVAETrainer(vqvae, learning_rate=2e-3, spectral_weight=0.1)
    for step in range(220):
        trainer.step(audio[None], quantise=step >= 50)
    priors: list[Prior] = []
    model = JukeboxModel(TOY, vqvae.eval(), priors.__getitem__, {"v3": LABEL_SET}, keep_loaded=True)
    codes = model.encode(audio)
    for config in TOY.priors:
        prior = Prior(config)
        initialise(prior, seed=1)
        context = config.codes_context
        ids = LABEL_SET.encode(Labels(), config, SECONDS)
        starts = window_starts(len(codes[config.level]), context, context // 2)
        windows = torch.stack([codes[config.level][start : start + context] for start in starts])
        y = torch.cat([label_vector(config, ids, start) for start in starts])
        above = torch.stack([codes[config.level + 1][start // 2 : (start + context) // 2] for start in starts]) if config.conditioner else None
        learner = PriorTrainer(prior, learning_rate=2e-3)
        for _ in range(400):
            if learner.step(windows, y, above) < 0.01:
                break
        priors.append(prior.eval())
    return model


@pytest.mark.slow
def test_a_trained_jukebox_reproduces_the_clip_it_learned() -> None:
    audio = clip()
    model = trained_toy(audio)
    codes = model.encode(audio)
    assert similarity(model.decode(codes[0]), audio) > 0.9
    [sung] = model.sample([Track(SECONDS, seed=3)], temperature=0.8) or []
    for level in range(3):
        assert (sung[level] == codes[level]).float().mean() > 0.9
    assert similarity(model.decode(sung[0]), audio) > 0.85


def test_codebooks_move_to_their_latents_and_unused_vectors_are_restarted() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[4.0, 0.0], [-4.0, 0.0], [0.0, 4.0], [0.0, -4.0]])
    codebook = Codebook(4, 2)
    trainer = CodebookTrainer(codebook, decay=0.9)
    restarted = []
    for _ in range(100):
        latents = centres.repeat(32, 1) + 0.1 * torch.randn(128, 2, generator=generator)
        restarted.append(trainer.update(latents, codebook.quantise(latents.T[None])[0], generator))
    found = torch.cdist(centres, codebook.vectors).min(1).values
    assert found.max() < 0.2, "each cluster has its vector, wherever the vectors began"
    assert restarted[0] == 4
    assert restarted[-1] == 0
    codebook.vectors[0] = torch.tensor([100.0, 100.0])
    trainer.sums[0], trainer.counts[0] = codebook.vectors[0] * 0.5, 0.5  # a vector that nobody chooses any more
    assert trainer.update(latents, codebook.quantise(latents.T[None])[0], generator) == 1
    assert torch.cdist(latents, codebook.vectors[:1]).min() < 0.1


def test_lyrics_are_learned_along_with_the_codes() -> None:
    """Both ways that the published models have: an encoder of its own, and characters in the prior's sequence."""
    torch.manual_seed(0)
    encoder = TransformerConfig(16, 2, 2, context=8, blocks=2)
    shape = TransformerConfig(32, 20, 2, context=32, blocks=4, attention_order=10)
    for lyrics, transformer in [
        (LyricsConfig(8, 80, encoder), shape),
        (LyricsConfig(8, 80, None), TransformerConfig(32, 16, 2, context=40, blocks=4, attention_order=12)),
    ]:
        prior = Prior(PriorConfig("toy", 2, VQ.hops[2], transformer, LABELS, lyrics, codes=VQ.codes, sample_rate=RATE))
        initialise(prior, seed=0)
        y = torch.cat([torch.tensor([[8192, 0, 1024, 1, 0]]), torch.arange(1, 9)[None]], dim=1)
        codes = torch.randint(0, VQ.codes, (1, 32))
        learner = PriorTrainer(prior, learning_rate=1e-2)
        first = learner.step(codes, y)
        for _ in range(60):
            last = learner.step(codes, y)
        assert first > 4.9  # log2(32) is 5
        assert last < 1.5
        loss, bits = prior_loss(prior, codes, y)
        lyric_bits = (loss - 0.8 * bits) / (0.4 * 0.2)
        assert lyric_bits < 2
