"""Run every benchmark and print its table: `python tests/benchmarks` or `make bench`."""

import subprocess
import sys
from pathlib import Path

failed = []
for script in sorted(Path(__file__).parent.glob("bench_*.py")):
    print(f"\n== {script.stem}", flush=True)
    if subprocess.run([sys.executable, script]).returncode:
        failed.append(script.stem)
if failed:
    sys.exit(f"did not finish: {', '.join(failed)}")
