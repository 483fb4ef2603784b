"""Training: one loop for codec and prior, which goes on where it was stopped, to the same weights as if it had not been.

A run's folder holds `corpus/` and `held_out/` (music in pieces), `codec.pt` and `prior.pt` (checkpoints), `*.jsonl` (a line a minute and a checkpoint),
`tensorboard/` where tensorboard is installed, and `samples/` (what it sounds like at each checkpoint).
"""

import json
import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from torch import Tensor, distributed, nn
from torch.utils.data import DataLoader

from gridtone_engine.devices import choose_device
from gridtone_engine.engine import EngineError, Progress
from gridtone_engine.prompt import Prompt
from gridtone_engine.undertone.checkpoints import load_checkpoint, started, trained_codec
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.conditions import ask
from gridtone_engine.undertone.configs import Recipe
from gridtone_engine.undertone.corpus import SAMPLE_RATE, Shards, cut, find_recordings, held_apart, write_shards
from gridtone_engine.undertone.data import AudioCrops, CodeCrops, encode_shards, sentence_vectors
from gridtone_engine.undertone.generate import Sampling, sample_codes
from gridtone_engine.undertone.losses import relative_error
from gridtone_engine.undertone.prior import Prior, prior_loss
from gridtone_engine.undertone.synthesis import synthesised
from gridtone_engine.undertone.torch_model import TorchModel

WARM_UP_STEPS = 200
LATENTS_PER_CODE = 64
"""Latents that k-means is given, for each vector of a codebook."""
HELD_OUT_SECONDS = 5.12
LOG_SECONDS = 20
TOO_FEW = "{}: too few recordings can be used; there have to be two at least, one to learn from and one to judge by"

Report = Callable[[Progress], None]


class Trainer(ABC):
    """A model in training, its moving average, and where they are kept."""

    part: str
    crops: AudioCrops | CodeCrops
    """Batches by number; there before `__init__` here."""

    def __init__(self, recipe: Recipe, folder: Path, model: nn.Module, steps: int, learning_rate: float, ema_decay: float) -> None:
        torch.set_num_threads(recipe.threads)
        torch.set_float32_matmul_precision("high")
        self.recipe, self.folder, self.steps, self.learning_rate, self.ema_decay = recipe, folder, steps, learning_rate, ema_decay
        self.device = device_of(recipe)
        self.rank, self.processes = join(self.device)
        self.model = model.to(self.device)
        self.average = deepcopy(self.model).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.01)
        self.step = 0
        self._resume()
        numbers = range(self.batch_number, self.steps * self.processes, self.processes)
        on_device = self.device.type == "cuda"
        self._ahead = iter(DataLoader(self.crops, batch_size=None, sampler=numbers, num_workers=recipe.loaders, pin_memory=on_device))

    @abstractmethod
    def learn(self) -> dict[str, float]:
        """One step: gradients onto the parameters. Returns what to log."""

    @abstractmethod
    def examine(self) -> dict[str, float]:
        """How good the average is on held-out music; writes samples to hear."""

    def run(self, max_minutes: float = math.inf, report: Report = lambda _: None) -> bool:
        """Train until all steps are done (True), or the time is up (False). Either way the last state is kept."""
        begun = saved = logged = time.monotonic()
        first = self.step
        with Log(self.folder, self.part) as log:
            while self.step < self.steps and self._agreed(time.monotonic() - begun < 60 * max_minutes):
                scores = self._advance()
                if self.rank:
                    continue
                now = time.monotonic()
                left = (now - begun) / (self.step - first) * (self.steps - self.step)
                report(Progress(self.step / self.steps, f"{self.part}: step {self.step:,} of {self.steps:,}, loss {scores['loss']:.3f}, {duration(left)} left"))
                if now - logged > LOG_SECONDS or self.step == self.steps:
                    log.write(self.step, scores)
                    logged = now
                if self.step == 1:  # from here on a codec's codes are what they will be: the prior may begin
                    self.save()
                if now - saved > 60 * self.recipe.save_minutes:
                    self.save()
                    log.write(self.step, self.examine())
                    saved = time.monotonic()
            if self.rank:
                return self.step >= self.steps
            self.save()
            if self.step > first:
                log.write(self.step, self.examine())
        return self.step >= self.steps

    def _advance(self) -> dict[str, float]:
        rate = self.learning_rate * min(1.0, (self.step + 1) / WARM_UP_STEPS) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * self.step / self.steps)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        scores = self.learn()
        self._share_gradients(self.model)
        if not math.isfinite(scores["loss"]):
            raise EngineError(f"training the {self.part}: the loss is {scores['loss']} at step {self.step}; go on from {self._file} with a lower learning_rate")
        gradient = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        decay = min(self.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
            for ours, theirs in zip(self.average.buffers(), self.model.buffers(), strict=True):
                ours.copy_(theirs)
        self.step += 1
        return {**scores, "gradient": float(gradient), "learning_rate": rate}

    @property
    def batch_number(self) -> int:
        """Of this process's batch: no other step and no other process has it."""
        return self.step * self.processes + self.rank

    def _batch(self) -> list[Tensor]:
        """This step's, on the device."""
        return [part.to(self.device, non_blocking=True) for part in next(self._ahead)]

    def _share_gradients(self, model: nn.Module) -> None:
        """Every process goes on with the mean of all."""
        if self.processes > 1:
            gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            together = nn.utils.parameters_to_vector(gradients) / self.processes
            distributed.all_reduce(together)
            nn.utils.vector_to_parameters(together, gradients)

    def _agreed(self, on: bool) -> bool:
        """What the first process says: clocks differ."""
        said = torch.tensor([float(on)], device=self.device)
        if self.processes > 1:
            distributed.broadcast(said, 0)
        return bool(said.item())

    @property
    def _file(self) -> Path:
        return self.folder / f"{self.part}.pt"

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "shape": asdict(self.shape),
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def save(self) -> None:
        partial = self._file.with_suffix(".part")
        torch.save(self.state(), partial)
        partial.replace(self._file)

    def _resume(self) -> None:
        if self._file.exists():
            self.resume(load_checkpoint(self._file, asdict(self.shape), self.device))

    def resume(self, state: dict[str, Any]) -> None:
        self.average.load_state_dict(state["average"])
        self.model.load_state_dict(state.get("model", state["average"]))
        if "optimiser" in state:  # `carry` leaves it out
            self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def _half(self) -> torch.autocast:
        """Multiplies in 16 bits, where gradients are needed: on one core with bf16 instructions a codec's step takes two thirds of the time."""
        return torch.autocast(self.device.type, torch.bfloat16)

    @property
    def shape(self) -> Any:
        return getattr(self.recipe, self.part)

    def listen(self, name: str, samples: Tensor | np.ndarray[Any, Any]) -> None:
        folder = self.folder / "samples"
        folder.mkdir(exist_ok=True)
        soundfile.write(folder / f"{self.part}_{self.step:06}_{name}.ogg", np.clip(np.asarray(samples).T, -1, 1), SAMPLE_RATE)


class CodecTrainer(Trainer):
    """Components and codebooks are found at the first step, or those of the weights to start from stay; all other steps train the decoder."""

    part = "codec"
    crops: AudioCrops

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        settings = recipe.train_codec
        self.crops = AudioCrops(Shards(folder / "corpus"), recipe)
        torch.manual_seed(recipe.seed)
        start = started(recipe)
        codec = deepcopy(start.codec) if start else Codec(recipe.codec)
        super().__init__(recipe, folder, codec, settings.steps, settings.learning_rate, settings.ema_decay)
        if start:
            check_codes(self.average, start.codec, recipe, self._file)

    def learn(self) -> dict[str, float]:
        codec = self.model
        assert isinstance(codec, Codec)
        if self.step == 0 and not self.recipe.start:
            levels = self._many(codec)
            codec.find_components(levels)
            latents = torch.cat([codec.latents(some) for some in levels.split(1)]).flatten(0, 1)
            codec.quantiser.initialise(latents, torch.Generator().manual_seed(self.recipe.seed))
            del levels
        with torch.no_grad():
            [audio] = self._batch()
            levels = codec.levels(audio)
            codes = codec.quantiser.encode(codec.latents(levels))
        with self._half():
            decoded = codec.decode(codes)
        loss = relative_error(decoded.float(), levels, levels)
        loss.backward()
        return {"loss": loss.item()}

    @torch.no_grad()
    def _many(self, codec: Codec) -> Tensor:
        """Levels of crops that no step sees, some `LATENTS_PER_CODE` code frames a code, (crops, spectra, numbers)."""
        frames = self.crops.frames // self.recipe.codec.hop * self.recipe.train_codec.batch
        first = self.steps * self.processes
        batches = range(first, first - (-LATENTS_PER_CODE * self.recipe.codec.codes // frames))
        return torch.cat([codec.levels(self.crops[number][0].to(self.device)) for number in batches])

    def examine(self) -> dict[str, float]:
        assert isinstance(self.average, Codec)
        return examine_codec(self, self.average)


class PriorTrainer(Trainer):
    """Learns the codes that the codec, from its first step on, gives to the corpus, under the captions' attributes and vectors."""

    part = "prior"
    crops: CodeCrops

    def __init__(self, recipe: Recipe, folder: Path, report: Report = lambda _: None) -> None:
        settings = recipe.train_prior
        rank, processes = join(device_of(recipe))  # chooses this process's device
        self.codec = trained_codec(recipe, folder).to(device_of(recipe)).eval()
        start = started(recipe)
        if start:
            check_codes(self.codec, start.codec, recipe, folder / "codec.pt")
        if not self.codec.quantiser.vectors.any():
            raise EngineError(f"{folder / 'codec.pt'} has no codes yet, they come with the first step: gridtone train codec")
        if rank:
            distributed.barrier()  # the first process encodes for all
        self.crops, self.held_out = (_code_crops(recipe, folder, name, self.codec, report) for name in ("corpus", "held_out"))
        if processes > 1 and not rank:
            distributed.barrier()
        torch.manual_seed(recipe.seed)
        if start and recipe.start_prior:
            prior = start.prior
        else:
            prior = Prior(recipe.prior)
            prior.codes.begin(self.codec.quantiser.vectors)
        super().__init__(recipe, folder, prior, settings.steps, settings.learning_rate, settings.ema_decay)

    def learn(self) -> dict[str, float]:
        codes, *told = self._batch()
        codes = codes.long()
        books = np.random.default_rng([self.recipe.seed, 2, self.step]).permutation(self.recipe.prior.codebooks)
        loss = self._loss(self.model, codes, told, books[: self.recipe.train_prior.scored].tolist(), self._disturbed(codes))
        loss.backward()
        return {"loss": loss.item()}

    def _loss(self, prior: nn.Module, codes: Tensor, told: list[Tensor], books: list[int] | None = None, seen: Tensor | None = None) -> Tensor:
        assert isinstance(prior, Prior)
        *asked, sheets = told
        with self._half():
            return prior_loss(prior, codes, prior.condition(*asked), sheets.float(), books, seen)

    @torch.no_grad()
    def _disturbed(self, codes: Tensor) -> Tensor:
        """Codes of a batch, those of half of the pieces jittered, and of a share `blurred` of the pieces some hidden, from none to all."""
        settings, seen = self.recipe.train_prior, codes.clone()
        generator = torch.Generator(self.device).manual_seed((self.recipe.seed << 32) + self.batch_number)
        seen[::2] = self.codec.quantiser.jittered(codes[::2], settings.jitter, generator)
        shares, chances = torch.rand(2, len(codes), generator=generator, device=self.device)
        hidden = torch.rand(codes.shape, generator=generator, device=self.device) < (shares * (chances < settings.blurred))[:, None, None]
        return seen.masked_fill(hidden, self.recipe.prior.codes)

    @torch.inference_mode()
    def examine(self) -> dict[str, float]:
        """Nats a code on held-out pieces; and two prompts to hear."""
        prior = self.average
        assert isinstance(prior, Prior)
        losses = []
        for number in range(4):
            codes, *told = (part.to(self.device) for part in self.held_out[number])
            losses.append(self._loss(prior, codes.long(), told).item())
        if asked := [ask(Prompt(text)) for text in self.recipe.sample_prompts]:
            model = TorchModel(self.codec, deepcopy(prior))
            for number, levels in enumerate(model.decode(sample_codes(model, asked, range(len(asked)), 250, Sampling()))):
                self.listen(f"prompt_{number}", synthesised(levels, self.codec.config))
        return {"held_out_loss": float(np.mean(losses))}


def check_codes(ours: nn.Module, theirs: Codec, recipe: Recipe, file: Path) -> None:
    """Raises EngineError if the codec in `file` has not the codes of the weights that the recipe starts from."""
    assert isinstance(ours, Codec)
    if not torch.equal(ours.quantiser.vectors.cpu(), theirs.quantiser.vectors):
        raise EngineError(f"{file} has other codes than the weights in {recipe.start}, and their prior knows only those; train in another folder or remove it")


@torch.inference_mode()
def examine_codec(trainer: Trainer, codec: Codec) -> dict[str, float]:
    """The levels' relative error in dB on held-out pieces, as many as the recipe says: whole, with the decoder left out and with the quantiser
    left out; and the share of codes in use."""
    shards = Shards(trainer.folder / "held_out")
    hop = trainer.recipe.codec.hop
    frames = round(min(HELD_OUT_SECONDS, shards.seconds) * SAMPLE_RATE) // hop * hop
    errors: dict[str, list[float]] = {"": [], "_without_decoder": [], "_without_codes": []}
    used = []
    for number in np.linspace(0, len(shards) - 1, min(len(shards), trainer.recipe.corpus.held_out_pieces)).astype(int):
        audio = torch.from_numpy(shards.samples(number, 0, frames))[None].to(trainer.device)
        levels = codec.levels(audio)
        latents = codec.latents(levels)
        codes = codec.quantiser.encode(latents)
        plain = codec.plain(codec.quantiser.decode(codes).flatten(2))
        heard = {"": codec.decode(codes), "_without_decoder": plain, "_without_codes": codec.plain(latents.flatten(2))}
        for name, decoded in heard.items():
            errors[name].append(relative_error(decoded, levels, levels).item())
        used.append(codes[0].cpu())
        if number == 0:
            trainer.listen("held_out", np.concatenate([audio[0].cpu().numpy(), synthesised(heard[""][0].cpu().numpy(), codec.config)], axis=1))
    in_use = [len(book.unique()) / trainer.recipe.codec.codes for book in torch.cat(used, dim=1)]
    scores = {f"held_out_error_db{name}": 10 * math.log10(np.mean(found)) for name, found in errors.items()}
    return {**scores, "held_out_codes_in_use": float(np.mean(in_use))}


def _code_crops(recipe: Recipe, folder: Path, name: str, codec: Codec, report: Report) -> CodeCrops:
    shards = Shards(folder / name)
    file = folder / f"{name}_codes_{codec.coding}.npy"
    for share in encode_shards(shards, codec, file):
        report(Progress(share, f"encoding {name}"))
    codes = np.load(file, mmap_mode="r")
    if len(codes) != len(shards):
        raise EngineError(f"{file} has the codes of {len(codes)} pieces, {folder / name} has {len(shards)}: remove the file to encode them anew")
    return CodeCrops(shards, codes, sentence_vectors(shards, folder / f"{name}_sentences.npy"), recipe)


class Log:
    """Scores as JSON lines, and for tensorboard where it is installed."""

    def __init__(self, folder: Path, part: str) -> None:
        self._lines = (folder / f"{part}.jsonl").open("a", encoding="utf-8")
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._board = None
        else:
            self._board = SummaryWriter(str(folder / "tensorboard" / part))

    def write(self, step: int, scores: dict[str, float]) -> None:
        self._lines.write(json.dumps({"step": step, **{name: round(score, 6) for name, score in scores.items()}}) + "\n")
        self._lines.flush()
        if self._board:
            for name, score in scores.items():
                self._board.add_scalar(name, score, step)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        if self._board:
            self._board.close()


def join(device: torch.device) -> tuple[int, int]:
    """This process's number and how many there are, where torchrun started several; alone: (0, 1)."""
    if "WORLD_SIZE" not in os.environ:
        return 0, 1
    if not distributed.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return distributed.get_rank(), distributed.get_world_size()


def device_of(recipe: Recipe) -> torch.device:
    return choose_device(recipe.device)


def render_corpus(recipe: Recipe, folder: Path, max_minutes: float = math.inf, report: Report = lambda _: None) -> bool:
    """Render the training and the held-out music. False if the time was up first; what is there stays."""
    settings = recipe.corpus
    sets = [
        ("rendering held_out", settings.held_out_pieces, write_shards(folder / "held_out", settings.held_out_pieces, settings.seconds, "held_out")),
        ("rendering corpus", settings.pieces, write_shards(folder / "corpus", settings.pieces, settings.seconds, processes=settings.processes)),
    ]
    return _in_time(sets, max_minutes, report)


def cut_corpus(recipe: Recipe, folder: Path, max_minutes: float = math.inf, report: Report = lambda _: None) -> tuple[bool, list[str]]:
    """Cut the recipe's recordings, some of them held out, and render the composer's pieces that go with them. False if the time was up first; what is there
    stays. Also says, for a person, what was used, and what was not and why.

    Raises ValueError if too few recordings can be used.
    """
    settings, corpus, held_out = recipe.corpus, folder / "corpus", folder / "held_out"
    found, wrong = find_recordings(Path(recipe.recordings), settings.seconds)
    trained, judged = held_apart(found, settings.held_out_share, recipe.seed)
    if not (trained and judged):
        raise ValueError("\n".join([*wrong, TOO_FEW.format(recipe.recordings)]))
    sets = [
        ("cutting recordings that are held out", len(judged), cut(judged, held_out, settings.seconds, "held_out", wrong)),
        ("cutting recordings", len(trained), cut(trained, corpus, settings.seconds, "train", wrong)),
    ]
    if settings.composed:
        rendered = write_shards(corpus, settings.pieces, settings.seconds, processes=settings.processes, recordings=trained)
        sets.append(("rendering the composer's pieces", settings.pieces, rendered))
    finished = _in_time(sets, max_minutes, report)
    used = [len([*place.glob("recording_*.npy")]) for place in (corpus, held_out)]
    if finished and not all(used):
        raise ValueError("\n".join([*wrong, TOO_FEW.format(recipe.recordings)]))
    unclear = [f"{one.path}: its caption says {', '.join(map(repr, one.ignored))}, which was not understood" for one in found if one.ignored]
    return finished, [*unclear, *wrong, f"{sum(used)} recordings are in, {used[1]} of them held out; {len(wrong)} files were left out"]


def _in_time(sets: list[tuple[str, int, Iterator[int]]], max_minutes: float, report: Report) -> bool:
    begun = time.monotonic()
    for name, wanted, written in sets:
        for done in written:
            report(Progress(min(1.0, done / wanted), f"{name}: {done} of {wanted}"))
            if time.monotonic() - begun > 60 * max_minutes and done < wanted:
                return False
    return True


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
