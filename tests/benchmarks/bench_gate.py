"""How fast the gate finishes and judges stereo at 48 kHz, one core: python tests/benchmarks/bench_gate.py"""

import time
from collections.abc import Callable

import numpy as np

from gridtone.gate.check import check
from gridtone.gate.finish import finish

RATE = 48000
SECONDS = 120
TARGET = 50


def seconds_of(work: Callable[[], object], times: int = 3) -> float:
    """Processor seconds of the fastest run."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken)


def main() -> None:
    rng = np.random.default_rng(0)
    time_axis = np.arange(SECONDS * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * frequency * time_axis) for frequency in (110, 220, 277.2, 329.6, 440)) * (0.6 + 0.4 * np.sin(0.7 * time_axis))
    samples = (0.05 * np.stack([chord, chord]) + 0.001 * rng.normal(size=(2, len(time_axis)))).astype(np.float32)
    finished = finish(samples, RATE)
    baseline = seconds_of(lambda: np.fft.rfft(samples.reshape(-1, 3840)))
    print(f"{SECONDS} s of stereo at {RATE} Hz; baseline: one FFT over the same samples\n")
    print(f"{'what':<18}{'x real time':>12}{'target':>9}{'of baseline':>13}")
    total = 0.0
    for what, work in {"finish": lambda: finish(samples, RATE), "check": lambda: check(finished, RATE)}.items():
        taken = seconds_of(work)
        total += taken
        print(f"{what:<18}{SECONDS / taken:>12.0f}{'':>9}{taken / baseline:>13.1f}")
    print(f"{'finish and check':<18}{SECONDS / total:>12.0f}{f'>= {TARGET}':>9}{total / baseline:>13.1f}")


if __name__ == "__main__":
    main()
