"""What the rules page costs: readings kept for a day, that day replayed under two rules, a text checked."""

import math
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from gridtone.config import Site
from gridtone.editing.checking import check_text
from gridtone.editing.comparing import compare
from gridtone.editing.helper import Helper
from gridtone.recent import Recent
from gridtone.rules import Evaluator, load_pack, pack_file
from gridtone_adapters import Reading

DAY = 86_400
LINES = 400
MANY = 100_000


def record_a_day(folder: Path, start: float) -> tuple[float, float, int]:
    """Every one of `LINES` changes every second. Returns the longest look in seconds, the seconds of all looks and files, and the bytes."""
    evaluator, recent = Evaluator(load_pack("transmission"), start), Recent(folder, 24)
    rng = np.random.default_rng(0)
    loading = rng.normal(60, 10, LINES)
    names = [f"line/{number}/loading_pct" for number in range(LINES)]
    longest = total = 0.0
    for second in range(DAY):
        now = start + second
        if not recent.due(now):
            continue
        loading += rng.normal(0, 0.5, LINES) + (60 + 25 * math.sin(second / 7000) - loading) * 0.01
        evaluator.ingest([Reading(name, value, now - 0.5, "%") for name, value in zip(names, loading.round(2).tolist(), strict=True)], now)
        began = time.process_time()
        recent.look(evaluator, now)
        longest = max(longest, time.process_time() - began)
        if recent.full(now):
            recent.write()
        total += time.process_time() - began
    recent.write()
    return longest, total, sum(file.stat().st_size for file in folder.iterdir())


def one_look_at_many(folder: Path) -> float:
    evaluator, recent = Evaluator(load_pack("transmission"), 1e9), Recent(folder, 24)
    for second in (0.0, 1.0):
        evaluator.ingest([Reading(f"line/{number}/loading_pct", 50 + second, 1e9 + second, "%") for number in range(MANY)], 1e9 + second)
        began = time.process_time()
        recent.look(evaluator, 1e9 + second)
    return time.process_time() - began


def main() -> None:
    text = pack_file("transmission").read_text(encoding="utf-8")
    edited = text.replace("max_loading > 100 %", "max_loading > 98 %")
    with tempfile.TemporaryDirectory() as folder:
        start = float(int(time.time()) - DAY)
        longest, total, size = record_a_day(Path(folder) / "readings", start)
        began = time.process_time()
        comparison = compare(text, edited, Path(folder) / "readings", start, start + DAY, Site())
        replayed = time.process_time() - began
        many = one_look_at_many(Path(folder) / "many")
    helper, site = Helper(0), Site()
    spent = [0.0]
    for _ in range(5):
        helper.call(120, check_text, text, Path("rules.yaml"), site)
        assert helper._process
        process = psutil.Process(helper._process[0].pid)
        spent.append(process.cpu_times().user + process.cpu_times().system)
    memory = process.memory_info().rss / 2**20
    helper.close()
    rows = [
        (f"a day of {LINES} points that change every second: readings kept", f"{comparison.readings:,}"),
        ("  on disk", f"{size / 2**20:.0f} MiB"),
        ("  processor time for all of it, of a day", f"{total:.1f} s"),
        ("  the longest look, in which nothing else happens", f"{longest * 1000:.1f} ms"),
        (f"one look at {MANY:,} points, all changed", f"{many * 1000:.0f} ms"),
        ("that day replayed under two rules, processor time", f"{replayed:.1f} s"),
        ("the default pack checked: the first time, with the start of the process, processor time", f"{spent[1]:.1f} s"),
        ("  from then on", f"{(spent[5] - spent[1]) / 4 * 1000:.0f} ms"),
        ("  memory of that process", f"{memory:.0f} MiB"),
    ]
    for what, measured in rows:
        print(f"| {what.strip()} | {measured} |")


if __name__ == "__main__":
    main()
