"""How many of undertone's tracks pass the gate, beside the composer's: `python tests/benchmarks/bench_undertone_gate.py [FOLDER]`.

FOLDER is what `gridtone train evaluate -o FOLDER` made: its tracks are finished and judged as `gridtone serve` does with every track.
"""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile
from rich.progress import track

from gridtone.gate.check import check
from gridtone.gate.finish import finish


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "evaluation")
    print(f"{'':12}{'tracks':>8}{'passed':>8}{'to reach':>10}   why not")
    for maker in ("undertone", "composer"):
        files = sorted((folder / maker).glob("*.flac"))
        if not files:
            sys.exit(f"{folder / maker} holds no tracks; make them: gridtone train evaluate -o {folder}")
        failures: Counter[str] = Counter()
        passed = 0
        for file in track(files, description=maker, transient=True):
            samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
            report = check(finish(np.ascontiguousarray(samples.T), rate), rate)
            passed += report.passed
            failures.update({failure.check for failure in report.failures})
        reasons = ", ".join(f"{name} {count}" for name, count in failures.most_common())
        print(f"{maker:12}{len(files):8}{passed / len(files):8.2f}{'>= 0.95' if maker == 'undertone' else '':>10}   {reasons}")


if __name__ == "__main__":
    main()
