"""Rules: readings per second, growth with the number of rules, and the memory of a million points. `python tests/benchmarks/bench_rules.py`"""

import gc
import random
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

from gridtone.rules import Evaluator, Rules, load_pack
from gridtone_adapters import Reading

READINGS = 200_000
BATCH = 100
ROUNDS = 5

Stream = list[tuple[float, list[Reading]]]


def per_second(rules: Rules | None, points: dict[str, float], stream: Stream) -> float:
    """Readings a second of processor time, the best of some rounds: other work on the machine can only slow one down. All points have reported before.

    Without rules: the least that any consumer must do, which is to keep the last value of each point.
    """
    best = float("inf")
    for _ in range(ROUNDS):
        if rules is not None:
            evaluator = Evaluator(rules, 0.0)
            evaluator.ingest([Reading(name, value, 999.0, "%") for name, value in points.items()], 999.0)
        last = dict(points)
        gc.collect()
        start = time.process_time()
        if rules is None:
            for _, readings in stream:
                for reading in readings:
                    last[reading.point] = reading.value
        else:
            for now, readings in stream:
                evaluator.ingest(readings, now)
        best = min(best, time.process_time() - start)
    return READINGS / best


def batches(names: list[str], low: float, high: float) -> Stream:
    """Random readings in batches; each of the points reports once a second on average."""
    chance = random.Random(1)
    made = []
    for number in range(READINGS // BATCH):
        now = 1000 + number * BATCH / len(names)
        made.append((now, [Reading(chance.choice(names), chance.uniform(low, high), now - 0.01, "%") for _ in range(BATCH)]))
    return made


def one_rule_a_point(rules: int) -> Rules:
    signals = {f"s{number}": {"of": f"line/{number}/loading_pct"} for number in range(rules)}
    states = {f"state{number}": {"when": f"s{number} > 100", "clear": f"s{number} < 90", "priority": number % 7, "silent": True} for number in range(rules)}
    return Rules.model_validate({"gridtone": 1, "signals": signals, "states": states})


def one_expression_a_point(rules: int) -> Rules:
    signals: dict[str, object] = {f"s{number}": {"of": f"line/{number}/loading_pct"} for number in range(rules)}
    signals |= {f"e{number}": {"expression": f"100 - max(s{number}, 0)"} for number in range(rules)}
    states = {f"state{number}": {"when": f"e{number} < 0", "clear": f"e{number} > 10", "silent": True} for number in range(rules)}
    return Rules.model_validate({"gridtone": 1, "signals": signals, "states": states})


def pack_points() -> dict[str, float]:
    """The points of a grid as large as the demo's, undisturbed."""
    points = {"grid/load_pct": 50.0, "grid/load_mw": 400.0, "grid/load_rate_pct_per_h": 0.0, "grid/lost_load_mw": 0.0, "grid/restoring": 0.0}
    for number in range(95):
        points |= {f"line/{number}/loading_pct": 40.0, f"line/{number}/in_service": 1.0}
        points |= {f"bus/{number}/vm_pu": 1.03, f"bus/{number}/energized": 1.0}
    return points


MILLION_POINTS = """
import resource, sys
from gridtone.rules import Evaluator, Rules
from gridtone_adapters import Reading

signal = {"of": sys.argv[1], "take": "max"}
evaluator = Evaluator(Rules.model_validate({"gridtone": 1, "signals": {"m": signal}, "states": {"s": {"when": "m > 1e9", "silent": True}}}), 0.0)
for start in range(0, 1_000_000, 1000):
    numbers = range(start, start + 1000)
    evaluator.ingest([Reading(f"substation/{n // 100:05d}/feeder/{n % 100}/loading_pct", n / 7, n * 1e-5, "%") for n in numbers], 10.0)
assert len(evaluator.points) == 1_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def million_points(pattern: str) -> float:
    """Peak resident megabytes of a process that holds 1,000,000 points, those that match `pattern` behind one signal."""
    done = subprocess.run([sys.executable, "-c", MILLION_POINTS, pattern], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    table = Table("what", "measured", "target", "ratio in this run", title="rules")
    pack, points = load_pack("transmission"), pack_points()
    loadings = [name for name in points if name.endswith("/loading_pct")]
    voltages = [name for name in points if name.endswith("/vm_pu")]
    quiet = batches(loadings, 20, 70)
    bare = per_second(None, points, quiet)
    table.add_row("keep the last value only (baseline)", f"{bare:,.0f} /s", "", "1")
    for what, stream, target in (
        ("default pack, loadings, nothing flips", quiet, ">= 500,000 /s"),
        ("default pack, voltages (behind two signals)", batches(voltages, 1.02, 1.06), ">= 500,000 /s"),
        ("default pack, loadings that keep changing the state", batches(loadings, 20, 100.5), ""),
    ):
        speed = per_second(pack, points, stream)
        table.add_row(what, f"{speed:,.0f} /s", target, f"{speed / bare:.2f}")

    few = (0.0, 0.0)
    for rules in (10, 100, 1000, 10_000):
        points = {f"line/{number}/loading_pct": 50.0 for number in range(rules)}
        stream = batches(list(points), 20, 80)
        least, plain, derived = (1e6 / per_second(made, points, stream) for made in (None, one_rule_a_point(rules), one_expression_a_point(rules)))
        few = (plain, derived) if rules == 10 else few
        flat = "flat within 2x" if rules == 10_000 else ""
        for what, target, cost, at_first in (("each on its own point", flat, plain, few[0]), ("each on an expression of its own point", "", derived, few[1])):
            ratio = f"{cost / at_first:.2f} of 10 rules; {cost / plain:.2f} of comparisons; baseline {least:.2f} us"
            table.add_row(f"{rules:,} rules, {what}", f"{cost:.2f} us a reading", target, ratio)

    plain, watched = million_points("nothing"), million_points("substation/**")
    table.add_row("1,000,000 points held, whole process", f"{plain:,.0f} MB", "<= 1,000 MB", "1")
    table.add_row("the same, all behind one signal", f"{watched:,.0f} MB", "<= 1,000 MB", f"{watched / plain:.2f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
