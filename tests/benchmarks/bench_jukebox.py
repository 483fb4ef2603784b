"""How fast Jukebox's codes are sampled: beside transformers' implementation in the same run, and at full size against the memory's own speed.

    python tests/benchmarks/bench_jukebox.py                         on any machine: miniatures beside transformers (a minute)
    python tests/benchmarks/bench_jukebox.py exactness               8-bit and 16-bit weights against 32 bits, at full width
    python tests/benchmarks/bench_jukebox.py seams                   window-parallel upsampling beside the exact one, on a toy trained on the spot
    python tests/benchmarks/bench_jukebox.py decode --out r.jsonl    on a GPU: ms a token of every level at full size, random weights
    python tests/benchmarks/bench_jukebox.py peer --out r.jsonl      on a GPU: transformers' algorithm at full size, a few hundred tokens
    python tests/benchmarks/bench_jukebox.py profile                 where a step's time goes, kernel by kernel
    python tests/benchmarks/bench_jukebox.py table r.jsonl           seconds per second of audio, from what was measured

`decode` and `peer` append to their file and leave out what is in it already: an interrupted run goes on.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from gridtone_engine.jukebox.configs import MODELS, PriorConfig, tiny
from gridtone_engine.jukebox.model import Track
from gridtone_engine.jukebox.prior import Conditions, Prior
from gridtone_engine.jukebox.quantise import quantise
from gridtone_engine.jukebox.seams import seams

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("peers", "engine", "benchmarks")]

from jukebox_decoding import bytes_per_token, decode_seconds, memory_bytes_per_second, prefill_seconds, random_prior, their_seconds  # noqa: E402

console = Console(width=150)
PRIORS = {prior.name: prior for model in MODELS.values() for prior in model.priors}
BATCHES = (1, 4, 16, 64)


def beside_transformers(rounds: int = 5) -> None:
    """Miniatures of every style on one CPU thread, one whole window each, caches on; in turns, the median of some rounds and their extremes."""
    from transformers.utils import logging
    from transformers_jukebox import fill, their_prior

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    table = Table("miniature", "batch", "ours", "transformers", "ratio", "target", title="one CPU thread, 32 bits, tokens for each second of CPU time")
    configs = {model.top.name: model.top for model in map(tiny, MODELS.values())} | {"upsampler_1": tiny(MODELS["5b"]).priors[1]}
    for name, config in configs.items():
        prior, theirs = random_prior(config, "cpu", torch.float32), their_prior(config)
        fill(theirs)
        for batch in (1, 8):
            ours_rates, their_rates = [], []
            for _ in range(rounds):
                ours_rates.append(batch / decode_seconds(prior, batch, "cpu", config.codes_context - 1))
                their_rates.append(batch / their_seconds(theirs, config, batch, config.codes_context, "cpu"))
            ratios = sorted(ours / others for ours, others in zip(ours_rates, their_rates, strict=True))
            ratio = f"{median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
            table.add_row(name, str(batch), f"{median(ours_rates):,.0f}", f"{median(their_rates):,.0f}", ratio, "2.0")
    console.print(table)


def exactness(depth: int, positions: int = 130) -> None:
    """Reduced weights against 32 bits: relative error of the residual stream a layer, and divergence of the next code's distribution."""
    torch.set_num_threads(torch.get_num_threads() if torch.cuda.is_available() else 1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    table = Table("width", "weights", "relative error a layer", "KL, nats a code", "nats a window", title=f"{depth} layers, random weights, {device}")
    for name in ("1b_lyrics", "upsampler_1", "5b"):
        config = PRIORS[name]
        config = replace(config, transformer=replace(config.transformer, depth=depth))
        reference = random_prior(config, device, torch.float32)
        width, context = config.transformer.width, config.transformer.context
        conditions = Conditions(
            torch.randn(1, width, device=device), torch.randn(1, context, width, device=device), torch.zeros(1, 0, dtype=torch.long, device=device), None
        )
        codes = torch.randint(0, config.codes, (1, positions), device=device)
        weights = {key: tensor.clone() for key, tensor in reference.state_dict().items()}
        expected, streams = _layers_and_logits(reference, codes, conditions)
        for kind in ("bfloat16", "float16", "int8", "fp8"):
            reduced = random_prior(config, device, torch.float32)
            reduced.load_state_dict(weights)
            if kind in ("int8", "fp8"):
                logits, states = _layers_and_logits(quantise(reduced, kind), codes, conditions)
            else:
                dtype = getattr(torch, kind)
                lower = Conditions(conditions.start.to(dtype), conditions.along.to(dtype), conditions.characters, None)
                logits, states = _layers_and_logits(reduced.to(dtype), codes, lower)
            errors = [((state.float() - stream).norm() / stream.norm()).item() for state, stream in zip(states, streams, strict=True)]
            kl = nn.functional.kl_div(logits.float().log_softmax(-1), expected.log_softmax(-1), log_target=True, reduction="none").sum(-1).mean().item()
            table.add_row(str(width), kind, " ".join(f"{error:.1e}" for error in errors), f"{kl:.1e}", f"{kl * config.codes_context:.2f}")
            del reduced
    console.print(table)


@torch.inference_mode()
def _layers_and_logits(prior: Prior, codes: Tensor, conditions: Conditions) -> tuple[Tensor, list[Tensor]]:
    streams: list[Tensor] = []
    hooks = [layer.register_forward_hook(lambda _module, _inputs, output: streams.append(output)) for layer in prior.transformer.layers]
    logits = prior(codes, conditions)
    for hook in hooks:
        hook.remove()
    return logits, streams


def seams_heard(seeds: int = 8) -> None:
    """Spectral flux where windows meet, over that of the whole, for a toy that learned one clip; and the share of codes that are those of the clip."""
    from test_jukebox_training import SECONDS, TOY, clip, trained_toy

    audio = clip()
    model = trained_toy(audio)
    codes = model.encode(audio)
    meetings = sorted({n * prior.codes_context * prior.hop for prior in TOY.priors[:2] for n in range(1, len(audio) // (prior.codes_context * prior.hop))})
    table = Table("upsampling", "seams: flux over the whole's", "codes of level 0 as learned", title=f"toy, {seeds} seeds, temperature 0.99")
    for name, parallel in (("exact", False), ("window-parallel", True)):
        sung = model.sample([Track(SECONDS, seed=seed) for seed in range(seeds)], window_parallel=parallel) or []
        flux = sum(seams(model.decode(track[0]), TOY.vqvae.sample_rate, meetings) for track in sung) / seeds
        share = sum((track[0] == codes[0]).float().mean().item() for track in sung) / seeds
        table.add_row(name, f"{flux:.2f}", f"{share:.3f}")
    table.add_row("the clip itself", f"{seams(model.decode(codes[0]), TOY.vqvae.sample_rate, meetings):.2f}", "1.000")
    console.print(table)


def decode(names: list[str], batches: list[int], out: Path, quantised: str | None, *, compiled: bool) -> None:
    """Full size on a GPU, one line of JSON for each level and batch."""
    done = {(r["name"], r["batch"], r["variant"]) for r in _results(out) if r["what"] == "decode"}
    variant = " ".join(["fp16", *([quantised] if quantised else []), *(["compiled"] if compiled else [])])
    bandwidth = memory_bytes_per_second()
    for name in names:
        wanted = [batch for batch in batches if (name, batch, variant) not in done]
        if not wanted:
            continue
        prior = random_prior(PRIORS[name], "cuda", torch.float16)
        if quantised:
            quantise(prior, quantised)
        weights, cache = bytes_per_token(prior)
        known = prior.config.codes_context - int(prior.config.hop_fraction * prior.config.codes_context)
        prefill = prefill_seconds(prior, known)
        for batch in wanted:
            torch.cuda.reset_peak_memory_stats()
            seconds = decode_seconds(prior, batch, "cuda", 128, compiled=compiled)
            result = {
                "what": "decode",
                "name": name,
                "batch": batch,
                "variant": variant,
                "ms": 1e3 * seconds,
                "roofline_ms": 1e3 * (weights + batch * cache) / bandwidth,
                "prefill_ms": 1e3 * prefill,
                "peak_gb": torch.cuda.max_memory_allocated() / 1e9,
                "bandwidth_tb": bandwidth / 1e12,
                "device": torch.cuda.get_device_name(),
            }
            _append(out, result)
        del prior
        torch.cuda.empty_cache()


def profile(names: list[str], batches: list[int], device: str) -> None:
    """Eager steps, for the graph's kernels are the same: calls and time of each kind of kernel in one step."""
    for name in names:
        prior = random_prior(PRIORS[name], device, torch.float16 if device == "cuda" else torch.float32)
        for batch in batches:
            state = prior.setup_caches(batch)
            with torch.inference_mode(), torch.profiler.profile() as profiler:
                prior.step(state, 0.99)
            console.print(f"{name}, batch {batch}", profiler.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=12), soft_wrap=True)


def peer(names: list[str], batches: list[int], out: Path, tokens: int) -> None:
    """transformers' Jukebox at full size in 16 bits: the first `tokens` of a window, where its growing cache is still small."""
    from transformers.utils import logging
    from transformers_jukebox import their_prior

    logging.disable_progress_bar()
    done = {(r["name"], r["batch"]) for r in _results(out) if r["what"] == "peer"}
    for name in names:
        wanted = [batch for batch in batches if (name, batch) not in done]
        if not wanted:
            continue
        torch.set_default_dtype(torch.float16)
        with torch.device("cuda"):
            theirs = their_prior(PRIORS[name])
        for tensor in theirs.state_dict().values():
            tensor.normal_(0, 0.02)
        for batch in wanted:
            seconds = their_seconds(theirs, PRIORS[name], batch, tokens, "cuda")
            _append(out, {"what": "peer", "name": name, "batch": batch, "ms": 1e3 * seconds, "tokens": tokens, "device": torch.cuda.get_device_name()})
        torch.set_default_dtype(torch.float32)
        del theirs
        torch.cuda.empty_cache()


def table(out: Path) -> None:
    """GPU seconds per second of audio per track: codes a second times ms a code over the batch, and the prefills of the windows."""
    results = list(_results(out))
    levels = Table("level", "batch", "variant", "ms a token", "roofline", "times it", "prefill, ms", "peak, GB", title="full size, random weights")
    measured = {(r["name"], r["batch"], r["variant"]): r for r in results if r["what"] == "decode"}
    for (name, batch, variant), r in sorted(measured.items()):
        row = (f"{r['ms']:.3f}", f"{r['roofline_ms']:.3f}", f"{r['ms'] / r['roofline_ms']:.1f}", f"{r['prefill_ms']:.0f}", f"{r['peak_gb']:.1f}")
        levels.add_row(name, str(batch), variant, *row)
    console.print(levels)
    stacks = Table("stack", "batch", "variant", "seconds per second of audio, per track", title="three levels; windows of a long track, prefills included")
    for model in MODELS.values():
        for batch, variant in sorted({(batch, variant) for _, batch, variant in measured}):
            rows = [measured.get((prior.name, batch, variant)) for prior in model.priors]
            if all(rows):
                cost = sum(_stack_seconds(prior, row) for prior, row in zip(model.priors, rows, strict=True) if row)
                stacks.add_row(model.name, str(batch), variant, f"{cost:.3f}")
    console.print(stacks)
    peers = Table("level", "batch", "transformers, ms a token", "ours", "ratio", title="the original algorithm, first tokens of a window")
    for r in (r for r in results if r["what"] == "peer"):
        ours = measured.get((r["name"], r["batch"], "fp16"), {}).get("ms")
        if ours:
            peers.add_row(r["name"], str(r["batch"]), f"{r['ms']:.1f}", f"{ours:.3f}", f"{r['ms'] / ours:.0f}")
    console.print(peers)


def _stack_seconds(prior: PriorConfig, r: dict[str, float]) -> float:
    codes = prior.sample_rate / prior.hop
    windows = codes / (prior.hop_fraction * prior.codes_context)
    return codes * r["ms"] / 1e3 / r["batch"] + windows * r["prefill_ms"] / 1e3


def _results(out: Path) -> Iterator[dict[str, object]]:
    if out.exists():
        yield from map(json.loads, out.read_text("utf-8").splitlines())


def _append(out: Path, result: dict[str, object]) -> None:
    console.print(result)
    with out.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(result) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", default="beside", choices=["beside", "exactness", "seams", "decode", "profile", "peer", "table"])
    parser.add_argument("results", nargs="?", type=Path, default=Path("jukebox.jsonl"))
    parser.add_argument("--out", type=Path, default=Path("jukebox.jsonl"))
    parser.add_argument("--priors", nargs="+", choices=PRIORS, default=list(PRIORS))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--quantised", choices=["int8", "fp8"])
    parser.add_argument("--compiled", action="store_true", help="compile each kind of layer before capturing the graph")
    parser.add_argument("--depth", type=int, default=6, help="layers, for exactness")
    parser.add_argument("--tokens", type=int, default=200, help="of transformers, for each figure")
    asked = parser.parse_args() if Path(sys.argv[0]).name == Path(__file__).name else parser.parse_args([])
    match asked.what:
        case "beside":
            beside_transformers()
        case "exactness":
            exactness(asked.depth)
        case "seams":
            seams_heard()
        case "decode":
            decode(asked.priors, asked.batches, asked.out, asked.quantised, compiled=asked.compiled)
        case "profile":
            profile(asked.priors, asked.batches, "cuda" if torch.cuda.is_available() else "cpu")
        case "peer":
            peer(asked.priors, asked.batches, asked.out, asked.tokens)
        case "table":
            table(asked.results)


if __name__ == "__main__":
    main()
