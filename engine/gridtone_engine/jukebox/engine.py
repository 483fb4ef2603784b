"""Jukebox as an engine of gridtone: prompts in, renditions out, the licence before everything.

Nothing here imports torch until an engine is opened, so that its name and its refusals are known where torch is not installed.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import soundfile
from numpy.typing import NDArray

from gridtone_engine.engine import EngineError, Progress, Rendition
from gridtone_engine.jukebox.configs import LICENCE
from gridtone_engine.prompt import Attributes, Prompt
from gridtone_engine.text import Understanding

if TYPE_CHECKING:
    from torch import Tensor

    from gridtone_engine.jukebox.labels import Labels
    from gridtone_engine.jukebox.model import Codes, Track

DEFAULT_FOLDER = Path("~/.cache/gridtone/jukebox")
NOTICE = (
    f"The published Jukebox models are OpenAI's, under the {LICENCE}: neither they nor anything made with them may be used for commercial purposes. "
    f'If that suits you, accept it by its name: accept_licence: "{LICENCE}"'
)


DTYPES = ("float32", "bfloat16", "float16")


class Jukebox:
    name = "jukebox"

    def __init__(
        self,
        model: str = "1b_lyrics",
        *,
        accept_licence: str = "",
        folder: str | Path = DEFAULT_FOLDER,
        device: str | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] | None = None,
        quantised: Literal["int8", "fp8"] | None = None,
        batch: int | None = None,
        temperature: float = 0.99,
        draft: bool = False,
        start_level: int | None = None,
        window_parallel: bool = False,
        moods: str | Path | None = None,
        total_seconds: float | None = None,
        keep_codes: bool = False,
    ) -> None:
        """Open the model called `model` in `folder` (see `weights.py`).

        * `accept_licence`: the name of the licence of the published models; without it none of them is loaded
        * `device`: `cuda` where there is one, else `cpu`; `dtype`: float16 on cuda, else float32; `quantised`: 8-bit weights
        * `batch`: tracks at once; None: as many as the memory takes, and fewer when it runs out
        * `draft`: stop at the top level: rough, and many times faster
        * `start_level`: sample from this level down; the levels above it must be there already, kept of an earlier run of the same prompts
        * `keep_codes`: leave the codes of finished runs in place, so that the same prompts without `draft` are only upsampled
        * `window_parallel`: upsample windows side by side: faster for few tracks, with seams
        * `moods`: a table of one's own in place of `moods.yaml`
        * `total_seconds`: of the piece that a track is said to be part of; None: as short as the model allows

        Runs are kept in `folder/runs` until they are finished: what is interrupted goes on when it is asked for again.
        """
        try:
            import torch

            from gridtone_engine.devices import choose_device
            from gridtone_engine.jukebox import weights
            from gridtone_engine.jukebox.quantise import Kind
        except ModuleNotFoundError as error:
            raise EngineError(f"the jukebox engine needs {error.name}: pip install 'gridtone[torch]'") from error
        from gridtone_engine.jukebox.moods import read_moods

        self._folder = Path(folder).expanduser()
        _, self.licence = weights.describe(model, self._folder)
        if self.licence == LICENCE and accept_licence != LICENCE:
            raise EngineError(NOTICE)
        chosen = choose_device(device)
        kind = dtype or ("float16" if chosen.type == "cuda" else "float32")
        for option, value, possible in (("dtype", kind, DTYPES), ("quantised", quantised, (None, *get_args(Kind)))):
            if value not in possible:
                raise EngineError(f"{option} is {value!r}; it is one of {', '.join(map(str, possible))}")
        if batch is not None and batch < 1:
            raise EngineError(f"batch is {batch}; at least one track is sampled at a time")
        if temperature <= 0:
            raise EngineError(f"temperature is {temperature:g}; it is above 0")
        self.model = f"jukebox {model}"
        self._model = weights.load_model(model, self._folder, chosen, getattr(torch, kind), quantised)
        self._moods = read_moods(Path(moods) if moods else None)
        self._batch, self._temperature, self._total_seconds = batch, temperature, total_seconds
        self._draft, self._window_parallel, self._keep_codes = draft, window_parallel, keep_codes
        self._start_level = start_level
        top = self._model.config.top.level
        if start_level is not None and (draft or not 0 <= start_level < top):
            raise EngineError(f"start_level {start_level}: it is one below the top, 0 to {top - 1}, and goes not with a draft, which stops at the top, {top}")
        self._arithmetic = f"{kind} {quantised or ''}".strip()

    def sample(
        self,
        prompts: Sequence[Prompt],
        *,
        progress: Callable[[Progress], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Rendition]:
        """All prompts in one batch. Raises EngineError where a prompt's length, labels or audio do not fit the model, or nothing fits the memory."""
        from gridtone_engine.jukebox.moods import map_prompt

        if not prompts:
            return
        mapped = [map_prompt(prompt.text, prompt.attributes, self._moods) for prompt in prompts]
        tracks = [self._track(prompt, labels.labels) for prompt, labels in zip(prompts, mapped, strict=True)]
        run = self._folder / "runs" / self._fingerprint(prompts)
        lowest = self._model.config.top.level if self._draft else 0
        sampled = self._model.sample(
            tracks,
            start_level=self._start_level,
            lowest_level=lowest,
            batch=self._batch,
            temperature=self._temperature,
            window_parallel=self._window_parallel,
            folder=run,
            progress=progress,
            cancelled=cancelled,
        )
        if sampled is None:
            return
        for prompt, track, labels, codes in zip(prompts, tracks, mapped, sampled, strict=True):
            yield Rendition(
                prompt=prompt,
                samples=self._audio(codes, lowest, prompt.seconds),
                sample_rate=self._model.config.vqvae.sample_rate,
                attributes=Attributes(),
                understanding=self._with_unknown_names(labels.understanding, track),
                bar_seconds=None,
                first_bar_seconds=0.0,
                engine=self.name,
                model=self.model,
                licence=self.licence,
            )
        if not self._keep_codes:
            shutil.rmtree(run)

    def _track(self, prompt: Prompt, labels: "Mapping[str, Labels]") -> "Track":
        from gridtone_engine.jukebox.model import Track

        top = self._model.config.top
        codes: Codes = {}
        if prompt.continue_from is not None:
            rate = self._model.config.vqvae.sample_rate
            audio = read_audio(prompt.continue_from, rate)
            if len(audio) / rate >= prompt.seconds:
                problem = f"{prompt.continue_from} is {len(audio) / rate:.1f} s long; a track that continues it has to be longer than {prompt.seconds:g} s"
                raise EngineError(problem)
            try:
                codes = self._model.encode(audio)
            except ValueError as error:
                raise EngineError(f"{prompt.continue_from} is too short to be continued: {error}") from error
        return Track(
            prompt.seconds,
            replace(labels[top.labels.version], total_seconds=self._total_seconds),
            prompt.seed,
            codes,
            upsampler_labels=labels[self._model.config.priors[0].labels.version],
        )

    def _with_unknown_names(self, understanding: Understanding, track: "Track") -> Understanding:
        """Names that the model's label sets do not have belong to what was not followed."""
        unknown = self._model.unknown_names(track)
        return replace(understanding, ignored=(*understanding.ignored, *(f"{name}: not among the names that {self.model} knows" for name in unknown)))

    def _audio(self, codes: "Codes", level: int, seconds: float) -> NDArray[np.float32]:
        frames = round(seconds * self._model.config.vqvae.sample_rate)
        samples: NDArray[np.float32] = self._model.decode(codes[level], level)[:frames].numpy()[None]
        return samples

    def _fingerprint(self, prompts: Sequence[Prompt]) -> str:
        """Names the run of these prompts with these settings."""
        asked = [{**asdict(prompt), "continue_from": prompt.continue_from and _digest(prompt.continue_from)} for prompt in prompts]
        settings = [self.model, self._arithmetic, self._temperature, self._window_parallel, self._total_seconds]
        return hashlib.sha256(json.dumps([settings, asked, [asdict(mood) for mood in self._moods]]).encode()).hexdigest()[:16]


def read_audio(path: Path, sample_rate: int) -> "Tensor":
    """Any audio file as mono at `sample_rate`, (samples,). Raises EngineError if it cannot be read."""
    import torch
    from scipy.signal import resample_poly

    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, TypeError, soundfile.LibsndfileError) as error:  # TypeError: a raw file, whose rate nobody knows
        raise EngineError(f"{path} cannot be continued: {error}") from error
    return torch.from_numpy(np.ascontiguousarray(resample_poly(samples.mean(1), sample_rate, rate), dtype=np.float32))


def _digest(path: Path) -> str:
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise EngineError(f"{path} cannot be continued: {error}") from error
