"""What the benchmark of Jukebox measures: one step, one prefill, one token of transformers; on random weights."""

import time
from collections.abc import Callable

import torch
from torch import nn

from gridtone_engine.jukebox.configs import PriorConfig
from gridtone_engine.jukebox.prior import Conditions, Prior
from gridtone_engine.jukebox.sampling import captured_step


def clock(device: str) -> float:
    """Seconds: of this process on a CPU, so that others on the machine do not count; by the wall on a GPU, once it is idle."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def random_prior(config: PriorConfig, device: str, dtype: torch.dtype) -> Prior:
    torch.set_default_dtype(dtype)
    with torch.device("meta"):
        prior = Prior(config)
    torch.set_default_dtype(torch.float32)
    prior.to_empty(device=device).eval().requires_grad_(requires_grad=False)
    for tensor in prior.state_dict().values():
        tensor.normal_(0, 0.02)
    for module in prior.modules():
        if isinstance(module, nn.LayerNorm):
            module.weight.fill_(1)
    return prior


def seconds_of(work: Callable[[], object], device: str, repeat: int) -> float:
    """Of one call, averaged over `repeat` of them."""
    work()
    begun = clock(device)
    for _ in range(repeat):
        work()
    return (clock(device) - begun) / repeat


def decode_seconds(prior: Prior, batch: int, device: str, steps: int, *, compiled: bool = False) -> float:
    """Of one step for `batch` tracks in the middle of a window."""
    state = prior.setup_caches(batch)
    for tensor in (state.along, state.start, state.noise):
        tensor.uniform_()
    if compiled:
        for layer in prior.transformer.layers:
            layer.step = torch.compile(layer.step)
    step = captured_step(prior, state, 0.99)
    state.position.fill_(min(prior.config.transformer.context // 2, prior.config.transformer.context - steps - 1))
    state.running.fill_(1)
    return seconds_of(step, device, steps)


def prefill_seconds(prior: Prior, known: int) -> float:
    """Of the pass that one track's next window begins with."""
    config, device = prior.config, prior.positions.device
    state = prior.setup_caches(1)
    width, context, like = config.transformer.width, config.transformer.context, {"dtype": prior.positions.dtype, "device": device}
    conditions = Conditions(
        start=torch.randn(1, width, **like),
        along=torch.randn(1, context, width, **like),
        characters=torch.zeros(1, config.lyrics_in_sequence, dtype=torch.long, device=device),
        lyrics=torch.randn(1, config.lyrics.characters, width, **like) if config.lyrics and config.lyrics.encoder else None,
    )
    codes = torch.randint(0, config.codes, (1, known), device=device)
    noise = torch.rand(config.codes_context, device=device)
    return seconds_of(lambda: prior.prefill(state, 0, conditions, codes, noise), str(device.type), 3)


def their_seconds(theirs: nn.Module, config: PriorConfig, batch: int, tokens: int, device: str) -> float:
    """Of one token in transformers' own sampling loop: a run of some tokens less a run of few, so that what comes before the first does not count."""
    few = 4
    y = torch.tensor([[100 * 44_100, 0, config.codes_context * config.hop, 1, *[1] * config.labels.genres_at_most]], device=device)
    y = torch.cat([y, torch.ones(1, config.lyrics.characters if config.lyrics else 0, dtype=torch.long, device=device)], dim=1).expand(batch, -1)
    above = [torch.zeros(batch, config.codes_context >> config.conditioner.downs, dtype=torch.long, device=device)] if config.conditioner else []
    with torch.no_grad():
        audio, metadata, lyrics = theirs.get_cond(above, y)
        encoded = None
        if config.lyrics_in_sequence:
            first, audio = theirs.prior_preprocess([lyrics], [None, audio])
        else:
            encoded = theirs.get_encoder_states(lyrics)

        def run(count: int) -> float:
            begun = clock(device)
            if config.lyrics_in_sequence:
                theirs.prior.primed_sample(batch, first, audio, metadata, sample_tokens=first.shape[1] + count)
            else:
                theirs.prior.sample(batch, audio, metadata, encoded, sample_tokens=count)
            return clock(device) - begun

        run(few)
        return (run(tokens) - run(few)) / (tokens - few)


def bytes_per_token(prior: Prior) -> tuple[int, int]:
    """Weights read in a step, and cache read for each track."""
    layers = prior.transformer.layers
    output = prior.output.weight if prior.output is not None else prior.embedding.weight
    weights = sum(tensor.numel() * tensor.element_size() for layer in layers for tensor in layer.state_dict().values()) + output.numel() * output.element_size()
    cache = sum(layer.attention.table.span for layer in layers) * 2 * prior.config.transformer.attention_width * prior.positions.element_size()
    return weights, cache


def memory_bytes_per_second() -> float:
    """Of a large copy on the device, bytes read plus bytes written."""
    source = torch.empty(1 << 30, dtype=torch.int32, device="cuda").random_()
    target = torch.empty_like(source)
    return 2 * source.nbytes / seconds_of(lambda: target.copy_(source), "cuda", 20)
