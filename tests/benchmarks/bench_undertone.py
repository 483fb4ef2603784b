"""How fast undertone plays and how large it is, with random weights of a recipe's shape; how soon a fresh process is heard, with the weights that are shipped:
`python tests/benchmarks/bench_undertone.py [small|base]`. How many tracks a device samples in real time, with those weights:
`python tests/benchmarks/bench_undertone.py --device cuda --batches 1 16 64`.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

from gridtone_engine import Prompt
from gridtone_engine.undertone import Undertone
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.conditions import ask
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.export import export_model
from gridtone_engine.undertone.generate import Sampling, Stage, decode_stretch
from gridtone_engine.undertone.prior import Prior

FRAMES = 250
FRESH_RUNS = 7
WAV_HEADER_BYTES = 44
STREAM = [sys.executable, "-m", "gridtone", "generate", "--engine", "undertone", "--stream", "-o", "-", "--seconds", "1", "calm, warm pads, 60 bpm"]


def fresh_rows() -> list[tuple[str, float, str]]:
    """Seconds to the first sound of a process that was just started, alone and next to a process that is always busy: medians."""
    rows = []
    for beside, others in (("", 0), (", next to a busy core", 1)):
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(others)]
        try:
            runs = [_fresh() for _ in range(FRESH_RUNS)]
        finally:
            for process in busy:
                process.kill()
                process.wait()
        for what, seconds, target in zip(("opened", "started"), zip(*runs, strict=True), ("<= 1.5", ""), strict=True):
            rows.append((f"first sound after it was {what}{beside}, s", median(seconds), target))
    return rows


def _fresh() -> tuple[float, float]:
    """Since the engine was opened, since the process was started."""
    began = time.perf_counter()
    with subprocess.Popen(STREAM, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.read(WAV_HEADER_BYTES + 1)
        started = time.perf_counter() - began
        process.stdout.read()
        said = re.search(rb"first sound after ([0-9.]+) s", process.stderr.read())
    assert said, "the command says when it was first heard"
    return float(said[1]), started


def batches(device: str, sizes: list[int], seconds: float) -> None:
    """Tracks of one length, sampled and mastered: how many at once in real time, what a step takes, and the step's share; torch, guided."""
    print(f"{device}, {seconds:g} s each\n{'tracks':>8} {'in real time':>14} {'ms a step':>10} {'of the whole':>13} {'to one track':>13}")
    first = None
    for tracks in sizes:
        engine = Undertone(runtime="torch", device=device, batch=tracks)
        prompts = [Prompt("calm, warm pads, 60 bpm", seconds, seed) for seed in range(tracks)]
        list(engine.sample([Prompt("calm", 2, seed) for seed in range(tracks)]))
        began = time.perf_counter()
        list(engine.sample(prompts))
        whole = time.perf_counter() - began
        stage, asked = Stage(engine._model, tracks, Sampling()), [ask(prompt) for prompt in prompts]
        for place, one in enumerate(asked):
            stage.seat(place, one, place)
        stage.advance()
        began = time.perf_counter()
        for _ in range(FRAMES):
            stage.advance()
        step = (time.perf_counter() - began) / FRAMES
        first = first or step
        share = step * seconds * engine.codec_config.frame_rate / whole
        print(f"{tracks:8d} {tracks * seconds / whole:14.1f} {1000 * step:10.2f} {share:13.0%} {step / first:13.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe", nargs="?", default="small", choices=[*RECIPES])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batches", nargs="+", type=int, help="measure only tracks of `--seconds` sampled together, so many at once")
    parser.add_argument("--seconds", type=float, default=20.0)
    said = parser.parse_args()
    if said.batches:
        batches(said.device, said.batches, said.seconds)
    else:
        alone(said.recipe)


def alone(name: str) -> None:
    recipe = RECIPES[name]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    codec, prior = Codec(recipe.codec), Prior(recipe.prior)
    codec.quantiser.vectors.normal_(std=0.1)
    codec.find_components(torch.rand(8, 80 * recipe.codec.frame_hops, recipe.codec.numbers))
    rows = []
    with TemporaryDirectory() as folder:
        weights = Path(folder)
        list(export_model(codec, prior, name, weights))
        rows.append(("all files, MB", sum(file.stat().st_size for file in weights.iterdir()) / 1e6, "<= 40"))
        prompt = Prompt("calm", seconds=FRAMES / 25)
        for runtime in ("onnx", "torch"):
            engine = Undertone(weights, runtime=runtime, device="cpu")
            list(engine.sample([Prompt("calm", seconds=1)]))
            began = time.perf_counter()
            list(engine.sample([prompt]))
            rows.append((f"{runtime}, guided, times real time", prompt.seconds / (time.perf_counter() - began), ">= 1.5" if runtime == "onnx" else ""))
            began = time.perf_counter()
            next(engine.stream(prompt))
            rows.append((f"{runtime}, first sound, s", time.perf_counter() - began, "<= 1.5" if runtime == "onnx" else ""))
            codes = np.zeros((1, recipe.prior.codebooks, FRAMES), np.int64)
            began = time.perf_counter()
            decode_stretch(engine._model, codes, 0, FRAMES)
            rows.append((f"{runtime}, decoding alone, times real time", prompt.seconds / (time.perf_counter() - began), ""))
    rows += fresh_rows()
    print(f"{name}: one thread")
    for what, measured, target in rows:
        print(f"{what:56} {measured:8.2f}   {target}")


if __name__ == "__main__":
    main()
