"""How fast undertone plays and how large it is, with random weights of a recipe's shape: `python tests/benchmarks/bench_undertone.py [small|base]`."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from gridtone_engine import Prompt
from gridtone_engine.undertone import Undertone
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.export import export_model
from gridtone_engine.undertone.generate import decode_stretch
from gridtone_engine.undertone.prior import Prior

FRAMES = 250


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "small"
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
            codes = np.zeros((recipe.prior.codebooks, FRAMES), np.int64)
            began = time.perf_counter()
            decode_stretch(engine._model, codes, 0, FRAMES)
            rows.append((f"{runtime}, decoding alone, times real time", prompt.seconds / (time.perf_counter() - began), ""))
    print(f"{name}: one thread")
    for what, measured, target in rows:
        print(f"{what:45} {measured:8.2f}   {target}")


if __name__ == "__main__":
    main()
