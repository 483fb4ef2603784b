"""What every engine offers, and how to open one by name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from gridtone_engine.auto import AUTO, choose_engine
from gridtone_engine.prompt import Attributes, Prompt
from gridtone_engine.text import Understanding


class EngineError(Exception):
    """An engine cannot do what it was asked: the message says what, and what to do about it."""


class PromptError(EngineError):
    """One prompt of a batch makes no sense to the engine; the others may."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number
        """Of the prompt in its batch, from 0."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch has come."""

    fraction: float
    """0 to 1, over the whole batch."""
    step: str
    """What is being done, for a person: `rendering track 2 of 8`."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """Audio that an engine made, and everything that made it."""

    prompt: Prompt
    samples: NDArray[np.float32]
    """Shape (channels, frames), within [-1, 1]."""
    sample_rate: int
    attributes: Attributes
    """What was really played, every field filled where the engine knows it."""
    understanding: Understanding
    """What the engine made of the prompt's text."""
    bar_seconds: float | None
    """Length of a bar, or None for music without a steady bar."""
    first_bar_seconds: float
    """Where the first downbeat stands, seconds from the start."""
    engine: str
    model: str
    """Name and version of the model, such as `composer 1`."""
    licence: str
    """Under which the audio may be used, as an SPDX identifier or the licence's own name."""

    @property
    def seconds(self) -> float:
        return float(self.samples.shape[1] / self.sample_rate)

    def with_samples(self, samples: NDArray[np.float32]) -> "Rendition":
        """The same rendition after its audio was worked on. Same shape as `samples`."""
        return replace(self, samples=samples)

    def write(self, path: str | Path) -> None:
        """Write to `path` in the format of its suffix (wav, flac, ogg, mp3)."""
        soundfile.write(path, self.samples.T, self.sample_rate)


class Engine(Protocol):
    """A maker of music. Opening one is cheap or says that it is not; `sample` may take seconds or hours."""

    name: str
    model: str
    licence: str

    def sample(
        self,
        prompts: Sequence[Prompt],
        *,
        progress: Callable[[Progress], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Rendition]:
        """Yield one rendition a prompt, in the order of the prompts, each as soon as it is finished.

        Ends early, without error, soon after `cancelled()` turns true. Raises EngineError for a prompt that cannot be followed at all.
        """
        ...


def engine_names() -> list[str]:
    """Names of the engines installed here: our own, those of other distributions (entry points in the group `gridtone.engines`), and `auto`."""
    return sorted({*entry_points(group="gridtone.engines").names, AUTO})


def engine_options(name: str) -> tuple[str, ...]:
    """Names of the options of the engine called `name`; those of `auto` are undertone's. Raises EngineError if there is none."""
    return tuple(signature(_factory(name)).parameters)


def open_engine(name: str, **options: Any) -> Engine:
    """Open the engine called `name` with its own options. Raises EngineError if there is none, or if it lacks something that it needs."""
    factory = _factory(name)
    try:
        signature(factory).bind(**options)
    except TypeError as error:
        wrong = str(error).replace("got an unexpected keyword argument", "there is no option")
        raise EngineError(f"engine {name!r}: {wrong}; its options are {', '.join(engine_options(name)) or 'none'}") from error
    chosen = choose_engine(name, options)
    return _factory(chosen.name)(**chosen.options)


def _factory(name: str) -> Callable[..., Engine]:
    matches = entry_points(group="gridtone.engines", name="undertone" if name == AUTO else name)
    if not matches:
        raise EngineError(f"no engine is called {name!r}; installed here: {', '.join(engine_names()) or 'none'}")
    try:
        factory: Callable[..., Engine] = next(iter(matches)).load()
    except ImportError as error:
        raise EngineError(f"engine {name!r} needs a package that is not installed here: {error}") from error
    return factory
