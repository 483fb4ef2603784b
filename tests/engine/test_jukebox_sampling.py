"""Windowed sampling against a slow and obvious reference: one code at a time, each window looked at anew, nothing cached, no batch."""

import os
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from jukebox_miniature import random_weights
from torch import Tensor

from gridtone_engine.jukebox.configs import MODELS, PriorConfig, TransformerConfig, tiny
from gridtone_engine.jukebox.labels import LabelIds
from gridtone_engine.jukebox.prior import Prior
from gridtone_engine.jukebox.sampling import Line, sample_level, track_noise, window_starts

RATE = 44_100


def small_prior(name: str) -> Prior:
    """A few layers with every kind of attention that the style has; windows of 32 codes."""
    torch.set_num_threads(1)
    configs = {model.top.name: model.top for model in map(tiny, MODELS.values())} | {p.name: p for p in tiny(MODELS["5b"]).priors[:2]}
    config = configs[name]
    depth = {2: 6, 10: 20, 12: 16}[config.transformer.attention_order]
    lyrics = config.lyrics and replace(config.lyrics, characters=8, encoder=config.lyrics.encoder and TransformerConfig(16, 3, 2, context=8, blocks=2))
    context = 32 + (8 if config.lyrics_in_sequence else 0)
    config = replace(config, transformer=replace(config.transformer, depth=depth, context=context, blocks=4), lyrics=lyrics)
    prior = Prior(config).eval()
    random_weights(prior, torch.Generator().manual_seed(0))
    return prior


def on_device(prior: Prior) -> Prior:
    """Where sampling is tested; the reference stays on the CPU."""
    device = os.environ.get("GRIDTONE_TEST_DEVICE", "cpu")
    return prior if device == "cpu" else deepcopy(prior).to(device)


def some_labels(config: PriorConfig, number: int) -> LabelIds:
    genres = (number % 20, *(-1,) * (config.labels.genres_at_most - 1))
    return LabelIds(number % 30, genres, tuple(range(1, 40 + number)), total_samples=100 * RATE, offset_samples=number * RATE)


@torch.inference_mode()
def slow_reference(prior: Prior, line: Line, hop: int, temperature: float) -> list[int]:
    """What the paper says, word by word."""
    config = prior.config
    context = config.codes_context
    codes = line.codes.tolist()
    start = 0
    while len(codes) < line.total:
        if start + context > line.total:  # the last window is moved back, so that it sees as much as it can
            start = max(0, line.total - context)
        while len(codes) < min(start + context, line.total):
            y = [line.labels.total_samples, line.labels.offset_samples + (line.first + start) * config.hop, context * config.hop]
            y += [line.labels.artist, *line.labels.genres]
            if config.lyrics:
                n, text = config.lyrics.characters, list(line.labels.characters)
                middle = int(len(text) * (y[1] + y[2] / 2) / y[0])
                middle = max(n // 2, min(middle, len(text) - n // 2))
                y += text[middle - n // 2 : middle + n // 2]
            above = None
            if config.conditioner:
                assert line.above is not None
                rate = 2**config.conditioner.downs
                above = torch.tensor([[line.above[i].item() if i < len(line.above) else 0 for i in range(start // rate, (start + context) // rate)]])
            window = torch.tensor([[*codes[start:], 0]])  # the 0 is not seen by its own prediction
            logits = prior(window, prior.condition(torch.tensor([y]), above))[0, -1, prior.first_code :]
            probabilities = (logits / temperature).softmax(0).tolist()
            mark, code = line.noise[len(codes)].item(), 0
            while code < config.codes - 1 and mark >= probabilities[code]:
                mark -= probabilities[code]
                code += 1
            codes.append(code)
        start += hop
    return codes


def lines_for(prior: Prior, totals: list[int], known: list[int], seed: int = 0) -> list[Line]:
    config, generator = prior.config, torch.Generator().manual_seed(seed)
    above = config.conditioner and [torch.randint(0, config.codes, (total >> config.conditioner.downs,), generator=generator) for total in totals]
    return [
        Line(
            some_labels(config, i),
            total,
            track_noise(i, config.level, total),
            codes=torch.randint(0, config.codes, (known[i],), generator=generator),
            above=above[i] if above else None,
        )
        for i, total in enumerate(totals)
    ]


@pytest.mark.parametrize("hop_fraction", [0.125, 0.5, 1.0])
@pytest.mark.parametrize("name", ["1b_lyrics", "5b", "5b_lyrics", "upsampler_0", "upsampler_1"])
def test_windows_of_many_tracks_at_once_give_what_the_slow_reference_gives(name: str, hop_fraction: float) -> None:
    """Ancestral over several windows, one that ends in a partial hop, one that is continued, one shorter than a window; two rows for four tracks."""
    prior = small_prior(name)
    lines = lines_for(prior, totals=[72, 44, 60, 20], known=[0, 0, 37, 5])
    expected = [slow_reference(prior, line, int(hop_fraction * 32), 0.99) for line in lines]
    sample_level(on_device(prior), lines, batch=2, hop_fraction=hop_fraction)
    assert [line.codes.tolist() for line in lines] == expected
    assert len(set(expected[0])) > 5, "a model that always says the same would prove nothing"


def test_company_and_interruptions_change_nothing() -> None:
    prior = small_prior("5b_lyrics")

    def lines() -> list[Line]:
        return lines_for(prior, totals=[64, 48, 50], known=[0, 10, 0])

    together, alone, interrupted = lines(), lines(), lines()
    sample_level(on_device(prior), together, batch=3)
    for line in alone:
        sample_level(on_device(prior), [line], batch=1)
    looks = 0
    for _ in range(200):
        if all(len(line.codes) == line.total for line in interrupted):
            break
        looks += 1
        sample_level(on_device(prior), interrupted, batch=2, go_on=lambda _: False)
    assert looks > 3
    assert [line.codes.tolist() for line in together] == [line.codes.tolist() for line in alone] == [line.codes.tolist() for line in interrupted]


def test_codes_are_counted_and_windows_reported() -> None:
    prior = small_prior("5b")
    lines, sampled, finished = lines_for(prior, totals=[64, 40], known=[0, 8]), [], []
    sample_level(
        prior, lines, batch=2, window_done=lambda line: finished.append((lines.index(line), len(line.codes))), go_on=lambda n: sampled.append(n) or True
    )
    assert sum(sampled) == 64 + 40 - 8
    assert finished[-1][1] in (64, 40)
    assert (0, 32) in finished


def test_another_seed_or_temperature_is_another_piece() -> None:
    prior = small_prior("5b")
    first, second, cooler = lines_for(prior, [32] * 3, [0] * 3)
    second.labels = cooler.labels = first.labels
    cooler.noise = first.noise
    sample_level(on_device(prior), [first, second], batch=2)
    sample_level(on_device(prior), [cooler], batch=1, temperature=0.05)
    assert first.codes.tolist() != second.codes.tolist()
    assert first.codes.tolist() != cooler.codes.tolist()


@pytest.mark.parametrize(
    ("total", "context", "hop", "expected"),
    [(100, 100, 50, [0]), (60, 100, 50, [0]), (101, 100, 50, [0, 1]), (200, 100, 50, [0, 50, 100]), (210, 100, 50, [0, 50, 100, 110])],
)
def test_windows_cover_the_codes(total: int, context: int, hop: int, expected: list[int]) -> None:
    assert window_starts(total, context, hop) == expected


def test_noise_belongs_to_the_place_in_the_track() -> None:
    long: Tensor = track_noise(7, 1, 1000)
    assert torch.equal(long[:10], track_noise(7, 1, 10))
    assert not torch.equal(long, track_noise(7, 2, 1000))
    assert not torch.equal(long, track_noise(8, 1, 1000))
