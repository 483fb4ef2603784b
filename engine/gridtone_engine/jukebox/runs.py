"""A run on disk: codes of every track and level, written after each window, so that an interrupted run goes on where it stopped."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gridtone_engine.engine import EngineError
from gridtone_engine.jukebox.sampling import Line


class RunError(EngineError):
    """The folder holds another run, or codes that cannot be read."""


class RunFolder:
    """`run.json` says what is sampled; `track_<n>_level_<n>.npy` hold the codes so far, 16 bits each; `..._from_<n>.npy` windows sampled side by side."""

    def __init__(self, path: Path, description: Mapping[str, Any]) -> None:
        """Open the run that `description` describes, or begin it. Raises RunError if the folder holds a run of something else."""
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        record, wanted = path / "run.json", json.loads(json.dumps(description))
        if not record.exists():
            _replace(record, json.dumps(wanted, indent=2).encode())
            return
        found = json.loads(record.read_text("utf-8"))
        different = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        if different:
            raise RunError(f"{path} holds another run: {', '.join(different)} differ. Name another folder, or remove this one to begin anew")

    def save(self, level: int, line: Line) -> None:
        file = self._file(line.track, level, line.first)
        partial = file.with_suffix(".part")
        with partial.open("wb") as stream:
            np.save(stream, line.codes.numpy().astype(np.uint16))
        partial.replace(file)

    def take_up(self, level: int, line: Line) -> None:
        """Give `line` what was kept of it, where that is more than it has."""
        kept = self.load(line.track, level, line.first)
        if kept is not None and len(kept) > len(line.codes):
            line.codes = kept[: line.total]

    def load(self, track: int, level: int, first: int = 0) -> Tensor | None:
        """Codes from the track's `first` one on, or None where nothing was finished."""
        file = self._file(track, level, first)
        if not file.exists():
            return None
        try:
            return torch.from_numpy(np.load(file, allow_pickle=False).astype(np.int64))
        except ValueError as error:
            raise RunError(f"{file} is damaged ({error}); remove it to sample it anew") from error

    def _file(self, track: int, level: int, first: int) -> Path:
        return self.path / (f"track_{track}_level_{level}_from_{first}.npy" if first else f"track_{track}_level_{level}.npy")


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".part")
    partial.write_bytes(content)
    partial.replace(path)
