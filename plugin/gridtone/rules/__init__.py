"""Points, signals and states: which state the grid is in, and why.

    rules = load_rules(Path("rules.yaml"))          # or load_pack("transmission")
    evaluator = Evaluator(rules, now)
    standing = evaluator.ingest(readings, now)      # a Standing if the state changed, else None
    evaluator.tick(evaluator.deadline())            # time passes: points go stale, `for` and `hold` end

* `model.py`      the rules file
* `condition.py`  comparisons joined by and, or, not, judged in three-valued logic; `parser.py` reads them
* `expression.py` signals worked out from others
* `points.py`     every point with its last reading
* `gauges.py`     signals at work
* `evaluator.py`  states at work
* `views.py`      the reasons, in sentences
* `standing.py`   what comes out
* `source.py`     where rules come from
* `packs/`        rules to begin with, each with its tests
"""

from pathlib import Path

from gridtone.documents import load_document
from gridtone.hints import did_you_mean
from gridtone.rules.evaluator import Counters, Evaluator
from gridtone.rules.model import Rules
from gridtone.rules.standing import NO_DATA, NO_STATE, Comparison, SignalView, Standing

_PACKS = Path(__file__).parent / "packs"

__all__ = [
    "NO_DATA",
    "NO_STATE",
    "Comparison",
    "Counters",
    "Evaluator",
    "Rules",
    "SignalView",
    "Standing",
    "load_pack",
    "load_rules",
    "pack_file",
    "pack_names",
]


def load_rules(path: Path) -> Rules:
    """Read a rules file. Raises DocumentError with every problem in it."""
    return load_document(path, Rules)


def pack_names() -> list[str]:
    """The packs that gridtone brings along."""
    return sorted(path.stem for path in _PACKS.glob("*.yaml") if not path.name.endswith(".test.yaml"))


def load_pack(name: str) -> Rules:
    """The pack called `name`. Raises ValueError if there is none."""
    return load_rules(pack_file(name))


def pack_file(name: str) -> Path:
    """The file of the pack called `name`. Raises ValueError if there is none."""
    if name not in pack_names():
        raise ValueError(f"no rules pack is called {name!r}; {did_you_mean(name, pack_names())}")
    return _PACKS / f"{name}.yaml"
