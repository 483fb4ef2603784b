"""Engines that behave well or badly, as a distribution of its own would bring them: `install` makes them known to this process and to those it starts."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from gridtone_engine import Attributes, EngineError, Progress, Prompt, PromptError, Rendition
from gridtone_engine.text import Understanding

RATE = 48_000


def murmur(seconds: float, seed: int) -> np.ndarray:
    """Soft noise below 1 kHz that swells slowly and fades at both ends: sound that the gate lets pass. Shape (2, frames)."""
    frames = int(seconds * RATE)
    time_axis = np.arange(frames) / RATE
    noise = np.random.default_rng(seed).standard_normal((2, frames))
    swell = 1 + 0.2 * np.sin(2 * np.pi * time_axis / 9)
    fade = np.clip(np.minimum(time_axis, seconds - time_axis) / 2, 0, 1)
    return (0.3 * sosfilt(butter(2, [100, 1000], "bandpass", fs=RATE, output="sos"), noise) * swell * fade).astype(np.float32)


class TestEngine:
    """Does what `behaviour` says: `work`, `silence` (which no gate lets pass), `raise`, `die`, `hang`, `chatter`, `gorge`, `short`, `dawdle`. The text
    `impossible` it refuses whatever its behaviour."""

    __test__ = False
    model = "test 1"
    licence = "CC0-1.0"

    def __init__(self, name: str, behaviour: str = "work", once: str = "") -> None:
        """`once`: a file; the bad behaviour is shown only while it does not exist, and the file is made."""
        self.name = name
        self._behaviour = behaviour
        if once:
            if Path(once).exists():
                self._behaviour = "work"
            Path(once).touch()
        if behaviour == "missing":
            raise EngineError("the weights of this engine are not here: fetch them first")

    def sample(
        self,
        prompts: Sequence[Prompt],
        *,
        progress: Callable[[Progress], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Rendition]:
        for number, prompt in enumerate(prompts):
            progress(Progress(number / len(prompts), f"track {number + 1} of {len(prompts)}"))
            if prompt.text == "impossible":
                raise PromptError("nobody can play this", number)
            samples = murmur(prompt.seconds, prompt.seed)
            match self._behaviour:
                case "silence":
                    samples *= 0
                case "raise":
                    raise RuntimeError("the GPU is on fire")
                case "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "hang":
                    time.sleep(600)
                case "chatter":
                    print("a library prints\n{not json}", flush=True)
                    os.write(1, b"even below Python\n")
                    print("and warns", file=sys.stderr)
                case "gorge":
                    samples = np.ones((2, 3 * 2**30), np.float64)
                case "short":
                    return
                case "dawdle":
                    while not cancelled():
                        time.sleep(0.02)
                    return
            yield Rendition(
                prompt, samples, RATE, Attributes(tempo_bpm=60.0, key="D minor"), Understanding(Attributes()), 4.0, 0.0, self.name, self.model, self.licence
            )


class First(TestEngine):
    def __init__(self, **options: str) -> None:
        super().__init__("first", **options)


class Second(TestEngine):
    def __init__(self, **options: str) -> None:
        super().__init__("second", **options)


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip would: metadata with entry points, found along the import path."""
    metadata = tmp_path / "site" / "engines_for_tests-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: engines-for-tests\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gridtone.engines]\nfirst = engines_for_tests:First\nsecond = engines_for_tests:Second\n")
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(metadata.parent), here, os.environ.get("PYTHONPATH", "")])))
