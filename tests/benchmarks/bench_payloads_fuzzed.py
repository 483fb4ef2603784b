"""A million payloads that no source should send, good ones between them: python tests/benchmarks/bench_payloads_fuzzed.py [PAYLOADS] [SEED]"""

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))

import payload_fuzzer
from payload_fuzzer import Tally

SHARES = {"MQTT messages": 0.5, "InfluxQL answers": 0.12, "webhook messages": 0.13, "CSV lines, read twice": 0.125, "JSON lines, read twice": 0.125}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    logging.disable(logging.CRITICAL)  # every refusal is counted; the log would only take time
    with tempfile.TemporaryDirectory() as folder:
        surfaces: list[Callable[[int], Tally]] = [
            lambda n: payload_fuzzer.mqtt(n, seed),
            lambda n: payload_fuzzer.influxql(n, seed),
            lambda n: payload_fuzzer.webhook(n, seed),
            lambda n: payload_fuzzer.recorded(n, Path(folder), "csv", seed),
            lambda n: payload_fuzzer.recorded(n, Path(folder), "jsonl", seed),
        ]
        print(f"seed {seed}; a good payload in {1 / payload_fuzzer.GOOD_SHARE:.0f}\n")
        print(f"{'what':<24}{'payloads':>11}{'a second':>10}{'refused':>11}{'good readings':>15}{'lost':>6}{'crashes':>9}")
        total, seconds = Tally(), 0.0
        for (what, share), surface in zip(SHARES.items(), surfaces, strict=True):
            started = time.process_time()
            tally = surface(round(share * count))
            taken = time.process_time() - started
            total, seconds = total + tally, seconds + taken
            show(what, tally, taken)
        show("all", total, seconds)
        print(f"{'target':<24}{1_000_000:>11,}{'':>36}{0:>6}{0:>9}")
        print("\n".join(total.crashes[:20]))


def show(what: str, tally: Tally, seconds: float) -> None:
    rate = tally.payloads / seconds
    print(f"{what:<24}{tally.payloads:>11,}{rate:>10,.0f}{tally.refused:>11,}{tally.expected:>15,}{tally.lost:>6}{len(tally.crashes):>9}", flush=True)


if __name__ == "__main__":
    main()
