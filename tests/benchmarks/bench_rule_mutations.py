"""2,000 mutations of good rules: crashes, accepted nonsense, errors without a place. `python tests/benchmarks/bench_rule_mutations.py [FROM [TO]]`"""

import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "plugin"))
from rule_mutations import SLIPS, mutant, outcome


def main(start: int = 0, end: int = 2000) -> None:
    console = Console(width=140)
    found: Counter[str] = Counter()
    for number in range(start, end):
        kind = mutant(number)[0]
        try:
            result = outcome(number)
        except AssertionError as error:
            result = "accepted though wrong, or an error without a place"
            console.print(str(error), markup=False)
        except Exception as error:
            result = "crashed"
            console.print(f"{number}: {kind}: {error!r}", markup=False)
        found[f"{'slips' if kind in SLIPS else 'noise'}: {result}"] += 1
    table = Table("what", "how often", "target", title=f"{end - start} mutations of a good rules file")
    for what, count in sorted(found.items()):
        table.add_row(what, str(count), "0" if what.split(": ")[1] in ("crashed",) or "wrong" in what or what == "slips: accepted" else "")
    console.print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
