"""A whole Jukebox: a VQ-VAE, three priors and label sets, and what can be done with them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gridtone_engine.engine import EngineError, Progress
from gridtone_engine.jukebox.clock import Clock
from gridtone_engine.jukebox.configs import JukeboxConfig, PriorConfig
from gridtone_engine.jukebox.labels import Labels, LabelSet
from gridtone_engine.jukebox.prior import Prior
from gridtone_engine.jukebox.runs import RunFolder
from gridtone_engine.jukebox.sampling import Line, join, sample_level, side_by_side, track_noise
from gridtone_engine.jukebox.vqvae import VQVAE

Codes = dict[int, Tensor]
"""A track's codes by level, each (codes,)."""


@dataclass(frozen=True, slots=True)
class Track:
    """One track that is wanted."""

    seconds: float
    labels: Labels = field(default_factory=Labels)
    seed: int = 0
    codes: Mapping[int, Tensor] = field(default_factory=dict)
    """What is there already, by level: the codes of a fragment to continue, or whole levels to upsample."""
    upsampler_labels: Labels | None = None
    """Where the upsamplers' label set needs other words than the top's; None: the same."""

    def labels_at(self, prior: PriorConfig) -> Labels:
        return self.upsampler_labels if self.upsampler_labels and prior.conditioner else self.labels


class JukeboxModel:
    def __init__(
        self,
        config: JukeboxConfig,
        vqvae: VQVAE,
        load_prior: Callable[[int], Prior],
        label_sets: Mapping[str, LabelSet],
        *,
        keep_loaded: bool = False,
    ) -> None:
        """`load_prior(level)` brings a prior, ready on its device. One is held at a time unless `keep_loaded`."""
        self.config = config
        self.vqvae = vqvae
        self.label_sets = label_sets
        self._load_prior, self._keep_loaded = load_prior, keep_loaded
        self._loaded: dict[int, Prior] = {}

    def prior(self, level: int) -> Prior:
        if level not in self._loaded:
            if not self._keep_loaded:
                self._loaded.clear()
            self._loaded[level] = self._load_prior(level)
        return self._loaded[level]

    @torch.inference_mode()
    def encode(self, audio: Tensor) -> Codes:
        """Mono audio (samples,) in [-1, 1] at the model's rate -> codes of every level. What is past the last whole top code is dropped."""
        device = next(self.vqvae.parameters()).device
        return {level: codes[0].cpu() for level, codes in enumerate(self.vqvae.encode(audio[None].float().to(device)))}

    @torch.inference_mode()
    def decode(self, codes: Tensor, level: int = 0) -> Tensor:
        """Codes (n,) of one level -> mono audio (n * hop,), clipped to [-1, 1]. Level 0 sounds best; the others are drafts."""
        device = next(self.vqvae.parameters()).device
        return self.vqvae.decode(codes[None].to(device), level)[0].float().clamp(-1, 1).cpu()

    def continue_from(self, audio: Tensor, seconds: float, labels: Labels = Labels(), seed: int = 0) -> Track:  # noqa: B008  # frozen
        """The track that begins with `audio` (samples,) and is `seconds` long in all: primed sampling."""
        return Track(seconds, labels, seed, self.encode(audio))

    def upsample(self, codes: Tensor, level: int, labels: Labels = Labels(), seed: int = 0) -> Track:  # noqa: B008
        """The track whose `level` is given, codes (n,), to be sampled from `start_level=level - 1` down.

        Raises EngineError for less than an upsampler's window, or for a part of a top code.
        """
        rate, hops = self.config.vqvae.sample_rate, self.config.vqvae.hops
        samples = len(codes) * hops[level]
        if samples < self.config.shortest_seconds * rate or samples % hops[-1]:
            raise EngineError(
                f"{len(codes)} codes of level {level} are {samples / rate:.2f} s; upsampling needs {self.config.shortest_seconds:.2f} s or more, "
                f"in steps of {hops[-1] // hops[level]} codes"
            )
        return Track(samples / rate, labels, seed, {level: codes})

    def samples(self, track: Track) -> int:
        """Length of a track in audio samples: whole top codes, and at least as many as an upsampler's window needs."""
        config = self.config.vqvae
        wanted = round(max(track.seconds, self.config.shortest_seconds) * config.sample_rate)
        return -(-wanted // config.hops[-1]) * config.hops[-1]

    def unknown_names(self, track: Track) -> tuple[str, ...]:
        """Artist and genre names of `track` that the top prior does not know."""
        return self._line(track, self.config.top.level, self.samples(track)).labels.unknown

    def sample(
        self,
        tracks: Sequence[Track],
        *,
        start_level: int | None = None,
        lowest_level: int = 0,
        batch: int | None = None,
        temperature: float = 0.99,
        window_parallel: bool = False,
        folder: Path | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[Codes] | None:
        """Codes of every track, from `start_level` (None: the top) down to `lowest_level`; None if cancelled.

        `batch` tracks are sampled at once: as many as fit, if None, and half as many each time memory runs out. With a `folder`, finished windows are
        kept there and an interrupted call goes on from them, or one with a lower `start_level` from the level above it. `window_parallel` samples the
        windows of the upsamplers side by side: faster for few tracks, and not the same distribution, since a window no longer hears the one before it.

        Raises EngineError where a track's length or labels do not fit the model, where the level above `start_level` is not there, and where not even
        one track fits the memory.
        """
        start_level = self.config.top.level if start_level is None else start_level
        levels = range(start_level, lowest_level - 1, -1)
        lengths = [self.samples(track) for track in tracks]
        run = RunFolder(folder, self._description(tracks, lengths, temperature, window_parallel)) if folder else None
        clock = Clock(self.config.priors, {level: sum(lengths) // self.config.vqvae.hops[level] for level in levels}, progress)
        done: list[Codes] = [dict(track.codes) for track in tracks]
        if run and start_level < self.config.top.level:
            for number, codes in enumerate(done):
                if (above := run.load(number, start_level + 1)) is not None:
                    codes[start_level + 1] = above

        for level in levels:
            config = self.config.priors[level]
            lines = [self._line(track, level, lengths[number], done[number].get(level + 1), number) for number, track in enumerate(tracks)]
            side = window_parallel and config.conditioner is not None
            parts = [part for line in lines for part in side_by_side(line, config)] if side else lines
            if run:
                for part in parts:
                    run.take_up(level, part)
            self._sample_what_fits(level, parts, batch, temperature, partial(run.save, level) if run else lambda _: None, clock, cancelled)
            if any(len(part.codes) < part.total for part in parts):
                return None
            for line in lines:
                if side:
                    join(line, (part for part in parts if part.track == line.track))
                if run:
                    run.save(level, line)
                done[line.track][level] = line.codes
        return done

    def _line(self, track: Track, level: int, samples: int, above: Tensor | None = None, number: int = 0) -> Line:
        config = self.config.priors[level]
        total = samples // config.hop
        if config.conditioner:
            needed, there = total >> config.conditioner.downs, 0 if above is None else len(above)
            if there < needed:
                raise EngineError(f"level {level} is sampled from all {needed:,} codes of level {level + 1}, and {there:,} are there: sample that level first")
        return Line(
            labels=self.label_sets[config.labels.version].encode(track.labels_at(config), config, samples / config.sample_rate),
            total=total,
            noise=track_noise(track.seed, level, total),
            codes=track.codes.get(level, torch.zeros(0, dtype=torch.long))[:total],
            above=above,
            track=number,
        )

    def _sample_what_fits(
        self,
        level: int,
        lines: list[Line],
        batch: int | None,
        temperature: float,
        window_done: Callable[[Line], None],
        clock: Clock,
        cancelled: Callable[[], bool],
    ) -> None:
        def go_on(codes: int) -> bool:
            clock.tick(codes)
            return not cancelled()

        while True:
            clock.begin(level, sum(len(line.codes) for line in lines), sum(line.total for line in lines))
            if all(len(line.codes) == line.total for line in lines):
                return
            prior = self.prior(level)
            batch = min(batch or batch_that_fits(prior), len(lines))
            try:
                sample_level(prior, lines, batch=batch, temperature=temperature, window_done=window_done, go_on=go_on)
            except torch.OutOfMemoryError as error:
                if batch == 1:
                    raise EngineError(f"level {level} of {self.config.name} does not fit even for one track: {error}") from error
                batch //= 2
            else:
                return

    def _description(self, tracks: Sequence[Track], lengths: Sequence[int], temperature: float, window_parallel: bool) -> dict[str, object]:
        """What a run folder is compared by. Not by its levels: a draft may be taken further."""
        return {
            "model": self.config.name,
            "temperature": temperature,
            "window_parallel": window_parallel,
            "tracks": [
                {
                    "samples": length,
                    "seed": track.seed,
                    "labels": [asdict(track.labels_at(prior)) for prior in self.config.priors],
                    "given": {str(level): hashlib.sha256(codes.numpy().tobytes()).hexdigest() for level, codes in track.codes.items()},
                }
                for track, length in zip(tracks, lengths, strict=True)
            ],
        }


def batch_that_fits(prior: Prior, most: int = 64) -> int:
    """Tracks that the free memory of the prior's device has room for. On a CPU 4: more gain nothing there."""
    device = prior.positions.device
    if device.type != "cuda":
        return min(4, most)
    torch.cuda.empty_cache()  # what the level above has left counts as free
    free, total = torch.cuda.mem_get_info(device)
    return max(1, min(most, int((free - 0.1 * total) // prior.state_bytes())))
