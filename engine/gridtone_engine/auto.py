"""`auto`: undertone where its weights win or tie with the composer on the table that they carry, else the composer."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Chosen:
    name: str
    options: Mapping[str, Any]
    why: str = ""
    """For a person, where something was chosen."""


def choose_engine(name: str, options: Mapping[str, Any]) -> Chosen:
    """The engine that `name` stands for: itself, or for `auto` undertone with its `options` or the composer without any."""
    if name != AUTO:
        return Chosen(name, options)
    good, why = judge_weights(options.get("weights"))
    if good and options.get("runtime") == "torch" and find_spec("torch") is None:
        good, why = False, f"{why}, but needs torch: pip install 'gridtone[torch]'"
    return Chosen("undertone", options, f"undertone, because {why}") if good else Chosen("composer", {}, f"the composer, because {why}")


def judge_weights(weights: str | Path | None = None) -> tuple[bool, str]:
    """Do the weights in that folder, or those that are shipped, win or tie on the table that lies beside them, and a sentence for a person."""
    from gridtone_engine.undertone import engine
    from gridtone_engine.undertone.evaluate.verdict import read_rows, verdict

    folder = engine.SHIPPED if weights is None else Path(str(weights)).expanduser()
    if not (folder / "undertone.json").is_file():
        return False, "no weights of undertone are shipped" if weights is None else f"{folder} holds no weights of undertone"
    file = folder / "evaluation.json"
    if not file.is_file():
        return False, "no evaluation.json lies beside undertone's weights: gridtone train evaluate makes it"
    try:
        found = verdict(read_rows(file))
    except (OSError, ValueError) as error:
        return False, f"{file} cannot be read: {error}"
    if found.holds:
        return True, f"undertone wins or ties with the composer in all {len(found.compared)} rows of its table"
    if not found.compared:
        return False, "undertone's table compares nothing with the composer"
    lost = "; ".join(f"{row.what} ({row.undertone:.2f}, the composer {row.composer:.2f})" for row in found.lost)
    return False, f"undertone loses in {len(found.lost)} of {len(found.compared)} rows of its table: {lost}"
