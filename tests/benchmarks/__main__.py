"""Run every benchmark and print its table: `python tests/benchmarks` or `make bench`. `--quick` runs those that have a short form."""

import argparse
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).parent
LIMIT_SECONDS = 1800.0
QUICK_LIMIT_SECONDS = 300.0
QUICK = {
    "forecast": ["--quick", "--days", "60"],
    "gate": [],
    "ingest_adapter": ["10000"],
    "payloads_fuzzed": ["50000"],
    "room_audit": ["12", "1"],
    "service": ["--changes", "20", "--messages", "10000"],
    "sse": [],
    "text": [],
}
"""The arguments of the short forms."""


def run(script: Path, arguments: list[str], limit_seconds: float) -> str:
    """Why it did not finish; empty if it did. Whatever it started ends with it."""
    process = subprocess.Popen([sys.executable, script, *arguments], start_new_session=True)
    try:
        status = process.wait(limit_seconds)
    except subprocess.TimeoutExpired:
        return f"took more than {limit_seconds:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return f"ended with status {status}" if status else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python tests/benchmarks", description="Run every benchmark, one after the other.")
    parser.add_argument("names", nargs="*", help="only these, such as `rules sse`")
    parser.add_argument("--quick", action="store_true", help="only those with a short form, in that form")
    parser.add_argument("--limit", type=float, help=f"seconds that each may take ({LIMIT_SECONDS:.0f}; {QUICK_LIMIT_SECONDS:.0f} with --quick)")
    chosen = parser.parse_args()
    limit_seconds = chosen.limit or (QUICK_LIMIT_SECONDS if chosen.quick else LIMIT_SECONDS)
    scripts = sorted(HERE.glob("bench_*.py"))
    names = [script.stem.removeprefix("bench_") for script in scripts]
    if unknown := set(chosen.names) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    failed, left_out = [], []
    for name, script in zip(names, scripts, strict=True):
        if chosen.names and name not in chosen.names:
            continue
        if chosen.quick and name not in QUICK:
            left_out.append(name)
            continue
        sys.stdout.write(f"\n== {name}\n")
        sys.stdout.flush()
        begun = time.monotonic()
        why = run(script, QUICK[name] if chosen.quick else [], limit_seconds)
        sys.stdout.write(f"FAILED: {name} {why}\n" if why else f"({time.monotonic() - begun:.0f} s)\n")
        sys.stdout.flush()
        if why:
            failed.append(f"{name} {why}")
    if left_out:
        sys.stdout.write(f"\nwithout a short form, left out: {', '.join(left_out)}\n")
    if failed:
        sys.exit("\n" + "\n".join(failed))


if __name__ == "__main__":
    main()
