"""undertone as an engine of gridtone: prompts in, renditions out; and music without end, under prompts that change.

Nothing here imports torch or onnxruntime until an engine is opened: its name and its refusals are there at once, and torch need not be installed.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from math import ceil, gcd
from pathlib import Path
from typing import Literal

import numpy as np
import scipy
import soundfile
from numpy.typing import NDArray

from gridtone_engine.composer import master
from gridtone_engine.engine import EngineError, Progress, PromptError, Rendition
from gridtone_engine.prompt import Attributes, Prompt
from gridtone_engine.text.moods import prepare
from gridtone_engine.undertone.balance import Balance
from gridtone_engine.undertone.conditions import Asked, ask
from gridtone_engine.undertone.generate import Codes, Model, Sampling, Stage, decode_stretch

SHIPPED = Path(__file__).parent / "weights"
DECODED_AT_ONCE = 500
"""Frames."""
LONGEST_FADE_SECONDS = 4.0


class Undertone:
    name = "undertone"

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        runtime: Literal["onnx", "torch"] = "onnx",
        device: str | None = None,
        threads: int = 1,
        batch: int | None = None,
        guidance: float = 5.0,
        temperature: float = 0.9,
        top_p: float = 1.0,
    ) -> None:
        """Open the model in the folder `weights`, as `gridtone train export` writes it; None: the one that comes with gridtone.

        * `runtime`: onnxruntime in 8 bits on the CPU, or torch, on `device` (`cuda` where there is one)
        * `threads`: of the CPU; beside other work one is faster than two
        * `batch`: tracks at once; None: 64 on cuda, else 1. In 8 bits and in bfloat16 rounding depends on who is sampled together: only alone is
          a track the same to the last sample whatever else is asked for
        * `guidance`: how closely the prompt is followed; 1 leaves it to the model and is twice as fast
        """
        self.folder = folder = SHIPPED if weights is None else Path(weights).expanduser()
        if weights is None and not SHIPPED.exists():
            raise EngineError("no weights of undertone are shipped yet: name a folder of your own, weights=FOLDER, made by gridtone train (docs/undertone.md)")
        for option, value, right, wanted in (
            ("threads", threads, threads >= 1, "at least 1"),
            ("batch", batch, batch is None or batch >= 1, "at least 1"),
            ("guidance", guidance, guidance >= 0, "at least 0"),
            ("temperature", temperature, temperature > 0, "above 0"),
            ("top_p", top_p, 0 < top_p <= 1, "above 0, at most 1"),
        ):
            if not right:
                raise EngineError(f"undertone's option {option} is {value}; it is {wanted}")
        prepare()
        self._model = _open(folder, runtime, device, threads)
        described = json.loads((folder / "undertone.json").read_text("utf-8"))
        self.model, self.licence = str(described["model"]), str(described["licence"])
        self._batch = batch or self._model.tracks_at_once
        self.sampling = Sampling(guidance, temperature, top_p)
        self.codec_config = self._model.codec_config
        self.sample_rate = self.codec_config.sample_rate

    def sample(
        self,
        prompts: Sequence[Prompt],
        *,
        progress: Callable[[Progress], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Rendition]:
        """As many tracks at once as the batch has seats; who finishes makes room for the next. A track that continues audio begins with it.

        Tracks are mastered as the composer's are: balanced to the brightness asked for, unless they continue audio, levelled, rises softened. They rise and
        fall over a bar.

        Raises PromptError where a prompt's length, tempo, key, instruments or audio make no sense, before anything is sampled.
        """
        asked, primes = [], []
        for number, prompt in enumerate(prompts):
            try:
                asked.append(self._asked(prompt))
                primes.append(self._prime(prompt))
            except EngineError as error:
                raise PromptError(str(error), number) from error
        wanted = [ceil(prompt.seconds * self._model.codec_config.frame_rate) for prompt in prompts]
        codes: list[list[NDArray[np.int64]]] = [[] for _ in prompts]
        seats: list[int | None] = [None] * min(self._batch, len(prompts))
        stage = Stage(self._model, max(1, len(seats)), self.sampling)
        waiting, given = iter(range(len(prompts))), 0
        while given < len(prompts):
            for place, track in enumerate(seats):
                if track is not None and len(codes[track]) < wanted[track]:
                    continue
                seats[place] = following = next(waiting, None)
                if following is None:
                    stage.leave(place)
                else:
                    stage.seat(place, asked[following], prompts[following].seed, primes[following])
            while ready := self._ready(codes, wanted, given):
                if cancelled():
                    return
                tracks = self._played(np.array([codes[track] for track in ready]).swapaxes(1, 2), cancelled)
                if tracks is None:
                    return
                for samples in tracks:
                    yield self._rendition(prompts[given], asked[given], samples, primes[given])
                    given += 1
            if cancelled():
                return
            if all(track is None for track in seats):
                continue
            for found, seated in zip(stage.advance(), seats, strict=True):
                if found is not None and seated is not None:
                    codes[seated].append(found)
            done = sum(map(len, codes))
            progress(Progress(done / sum(wanted), f"sampling {sum(track is not None for track in seats)} of {len(prompts)} tracks"))

    def stream(
        self,
        prompt: Prompt,
        *,
        change: Callable[[], Prompt | None] = lambda: None,
        cancelled: Callable[[], bool] = lambda: False,
        chunk_seconds: float = 0.5,
    ) -> Iterator[NDArray[np.float32]]:
        """Music without end, in chunks of (2, frames), beginning as soon as it can be heard. `prompt.seconds` does not count.

        `change` is asked before every chunk: the prompt that it returns bends the music from there on, without a cut. Its length and audio do not count, and
        what it leaves open is chosen by the seed of the first.

        It is balanced to the brightness asked for as it goes, unless it continues audio; it is not levelled.
        """
        config = self._model.codec_config
        stage = Stage(self._model, 1, self.sampling)
        asked, prime = self._asked(prompt), self._prime(prompt, limited=False)
        stage.seat(0, asked, prompt.seed, prime)
        fade = 0 if prime is not None else _fade_frames(asked, self.sample_rate)
        chunk = max(1, round(chunk_seconds * config.frame_rate))
        codes, start = np.zeros((self._model.prior_config.codebooks, 0), np.int64), 0
        synthesis, balance, played = self._model.synthesis(1), Balance(config), 0
        while not cancelled():
            if (following := change()) is not None:
                asked = self._asked(replace(following, seconds=prompt.seconds, seed=prompt.seed))
                stage.ask(0, asked)
            while codes.shape[1] < start + chunk + config.reach_frames:
                if cancelled():
                    return
                [found] = stage.advance()
                if found is not None:
                    codes = np.concatenate([codes, found[:, None]], axis=1)
            levels = decode_stretch(self._model, codes[None], start, start + chunk)
            [samples] = synthesis.play(levels if prime is not None else balance.tilted(levels, asked.sheet.brightness))
            yield np.clip(samples * _rise(played, samples.shape[1], fade), -1, 1)
            played += samples.shape[1]
            behind = max(0, start + chunk - config.reach_frames)
            codes, start = codes[:, behind:], start + chunk - behind

    def heard_again(self, audio: NDArray[np.float32]) -> tuple[Codes, NDArray[np.float32]]:
        """Audio (2, frames) at `sample_rate` as the codes that the prior knows, (codebooks, frames of codes), and as what they sound like."""
        codes = self._model.encode(audio[None])
        audio_again = self._played(codes)
        assert audio_again is not None  # nobody cancels
        return codes[0], np.clip(audio_again[0], -1, 1)

    def _asked(self, prompt: Prompt) -> Asked:
        if not 1 <= prompt.seconds <= 3600:
            raise EngineError(f"a track of {prompt.seconds:g} s was asked for; undertone makes 1 to 3600 s")
        try:
            return ask(prompt)
        except ValueError as error:
            raise EngineError(str(error)) from error

    def _prime(self, prompt: Prompt, *, limited: bool = True) -> Codes | None:
        """Codes of the audio to continue, (codebooks, frames)."""
        if prompt.continue_from is None:
            return None
        audio = read_stereo(prompt.continue_from, self.sample_rate)
        seconds = audio.shape[1] / self.sample_rate
        if limited and seconds >= prompt.seconds:
            raise EngineError(f"{prompt.continue_from} is {seconds:.1f} s long; a track that continues it has to be longer than {prompt.seconds:g} s")
        try:
            return self._model.encode(audio[None])[0]
        except ValueError as error:
            raise EngineError(f"{prompt.continue_from} is too short to be continued: {error}") from error

    def _ready(self, codes: list[list[Codes]], wanted: list[int], given: int) -> range:
        """The next tracks to be given that are finished, as many as have one length, up to a batch."""
        following = range(given, min(given + self._batch, len(wanted)))
        return range(given, given + len([*takewhile(lambda track: len(codes[track]) == wanted[track] == wanted[given], following)]))

    def _played(self, codes: Codes, cancelled: Callable[[], bool] = lambda: False) -> NDArray[np.float32] | None:
        """Tracks (tracks, codebooks, frames) as sound, (tracks, 2, samples); None if it was cancelled."""
        tracks, _, count = codes.shape
        synthesis, pieces = self._model.synthesis(tracks), []
        for start in range(0, count, DECODED_AT_ONCE):
            if cancelled():
                return None
            pieces.append(synthesis.play(decode_stretch(self._model, codes, start, min(count, start + DECODED_AT_ONCE))))
        return np.concatenate([*pieces, synthesis.rest()], axis=2)

    def _rendition(self, prompt: Prompt, asked: Asked, samples: NDArray[np.float32], prime: Codes | None) -> Rendition:
        samples = samples[:, : round(prompt.seconds * self.sample_rate)]
        if prime is None:
            master.balance(samples, self.sample_rate, asked.sheet.brightness)
        master.level(samples, self.sample_rate)
        frames = samples.shape[1]
        fade = min(_fade_frames(asked, self.sample_rate), frames // 2)
        samples *= _rise(0, frames, fade)[::-1]
        if prime is None:
            samples *= _rise(0, frames, fade)
        return Rendition(
            prompt=prompt,
            samples=np.clip(samples, -1, 1),
            sample_rate=self.sample_rate,
            attributes=Attributes(),
            understanding=asked.understanding,
            bar_seconds=asked.sheet.bar_seconds,
            first_bar_seconds=0.0 if prime is None else prime.shape[1] / self.codec_config.frame_rate,
            engine=self.name,
            model=self.model,
            licence=self.licence,
        )


def _fade_frames(asked: Asked, sample_rate: int) -> int:
    """Of what begins or ends: a bar, so that two tracks can be crossfaded on it."""
    return round(min(asked.sheet.bar_seconds, LONGEST_FADE_SECONDS) * sample_rate)


def _rise(first: int, count: int, fade: int) -> NDArray[np.float32]:
    """What `count` samples from the `first` on are multiplied by, where the first `fade` samples rise from silence."""
    return np.sin(0.5 * np.pi * np.clip((first + np.arange(count)) / max(fade, 1), 0, 1)).astype(np.float32)


def _open(folder: Path, runtime: str, device: str | None, threads: int) -> Model:
    if runtime == "onnx":
        if device not in (None, "cpu"):
            raise EngineError(f"onnxruntime runs undertone on the CPU; for {device} choose runtime=torch")
        from gridtone_engine.undertone.onnx_model import OnnxModel

        return OnnxModel(folder, threads)
    if runtime == "torch":
        try:
            from gridtone_engine.undertone.torch_model import TorchModel
        except ModuleNotFoundError as error:
            raise EngineError(f"undertone's runtime torch needs {error.name}: pip install 'gridtone[torch]'") from error
        return TorchModel.load(folder, device, threads)
    raise EngineError(f"undertone runs by onnx or torch, not by {runtime!r}")


def read_stereo(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """Any audio file as (2, frames) at `sample_rate`; mono on both sides. Raises EngineError if it cannot be read."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, TypeError, soundfile.LibsndfileError) as error:  # TypeError: a raw file, whose rate nobody knows
        raise EngineError(f"{path} cannot be continued: {error}") from error
    return stereo(samples, rate, sample_rate)


def stereo(samples: NDArray[np.float32], rate: int, sample_rate: int) -> NDArray[np.float32]:
    """Samples (frames, channels) at `rate` as (2, frames) at `sample_rate`: the first two channels; mono on both sides."""
    both = samples[:, [0, min(1, samples.shape[1] - 1)]]
    common = gcd(sample_rate, rate)
    return np.ascontiguousarray(scipy.signal.resample_poly(both, sample_rate // common, rate // common, axis=0).T, dtype=np.float32)
