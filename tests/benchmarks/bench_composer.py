"""How fast the composer is, and how much it takes, on one core.

    taskset -c 0 python tests/benchmarks/bench_composer.py

Times are the processor's, so that other work on the machine does not count. The baseline, in the same run, is one forward and one inverse Fourier transform
of as much stereo audio: about the least that any renderer with a reverb does.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import resource
import subprocess
import sys
import time

import numpy as np
from scipy import fft

from gridtone_engine import Attributes, Prompt, open_engine

TARGET = 30.0


def cpu_seconds(seconds: float, attributes: Attributes, seed: int) -> tuple[float, float]:
    """(seconds of audio, processor seconds) of one rendition."""
    began = time.process_time()
    [rendition] = open_engine("composer").sample([Prompt("", seconds, seed, attributes)])
    return rendition.seconds, time.process_time() - began


def baseline(seconds: float) -> float:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, int(seconds * 48_000))).astype(np.float32)
    began = time.process_time()
    for start in range(0, noise.shape[1], 2**18):
        fft.irfft(fft.rfft(noise[:, start : start + 2**18], 2**19), 2**19)
    return time.process_time() - began


def fresh_process(code: str) -> tuple[float, float]:
    """(processor seconds, peak resident MB) of a new interpreter that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    finished = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"],
        check=True,
        capture_output=True,
        text=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, int(finished.stdout.split()[-1]) / 1024


def main() -> None:
    moods = {"calm (energy 0.1)": 0.1, "steady (energy 0.5)": 0.5, "alert (energy 0.95)": 0.95}
    cpu_seconds(5, Attributes(), 0)
    print(f"{'':38}{'measured':>12}{'target':>10}{'of the baseline':>18}")
    for name, energy in moods.items():
        runs = [cpu_seconds(120, Attributes(energy=energy), seed) for seed in range(3)]
        speeds = [seconds / used for seconds, used in runs]
        print(f"{name + ', stereo 48 kHz':38}{np.median(speeds):9.0f} x{'>= 30 x':>11}{np.median([u for _, u in runs]) / baseline(120):16.1f} x")
    making = "from gridtone_engine import Prompt, open_engine; list(open_engine('composer').sample([Prompt('', {}, 1)]))"
    used, megabytes = fresh_process(making.format(60))
    print(f"{'new process, first 60 s track':38}{used:9.1f} s{'<= 3 s':>11}{'':4}peak {megabytes:.0f} MB")
    _, megabytes = fresh_process(making.format(180))
    print(f"{'new process, 3 minutes':38}{megabytes:9.0f} MB")


if __name__ == "__main__":
    main()
