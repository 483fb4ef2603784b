"""Sizes and schedules as plain data."""

import json
from bisect import bisect_left
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from gridtone_engine.engine import EngineError

LONGEST_WAVE = 10_000.0
"""Of the prior's rotary positions, in steps of one radian."""
LOW_HZ = (0, 62, 78, 109, 140, 171, 203, 234, 265, 296, 328, 359, 406, 437, 484, 515, 546, 593, 640, 687, 718, 765)
CENTRE_HZ = (812, 859, 906, 968, 1031, 1093, 1156, 1218, 1281, 1359, 1437, 1531, 1625)
HIGH_HZ = (1718, 1812, 1906, 2031, 2125, 2250, 2375, 2539, 2679, 2867, 3054, 3242, 3476, 3718, 4031, 4468, 5312)
MIDDLE_HZ, SIDE_HZ = LOW_HZ + CENTRE_HZ + HIGH_HZ, (0, 500, 1750, 5000)
"""Shares of the spectrum: of all ways to cut it into as many, the one that loses least at 10 bits each, if music's levels were Gaussian (reverse
water-filling on their covariance): a semitone or two each where most notes lie."""


@dataclass(frozen=True, slots=True)
class CodecConfig:
    """A codec of 32 kHz stereo in codes: `frame_rate` frames a second, a code for each share of the spectrum."""

    width: int
    fast_blocks: int = 2
    """Of the decoder, at the rate of the spectrum."""
    slow_blocks: int = 6
    """Of the decoder, at the rate of the codes."""
    kernel: int = 7
    expansion: int = 3
    sample_rate: int = 32_000
    spectrum_size: int = 4096
    spectrum_hop: int = 640
    frame_hops: int = 2
    """Spectra a code frame."""
    single_bins: int = 128
    """Of a spectrum, that are bands of their own; further up bands grow with frequency, as the ear's do."""
    middle_hz: tuple[int, ...] = MIDDLE_HZ
    """Where each codebook's share of the middle begins."""
    side_hz: tuple[int, ...] = SIDE_HZ
    """And of the sides."""
    latent_width: int = 16
    """Components of a share."""
    codes: int = 1024

    @property
    def hop(self) -> int:
        """Samples a code frame."""
        return self.spectrum_hop * self.frame_hops

    @property
    def frame_rate(self) -> float:
        return self.sample_rate / self.hop

    @property
    def bands(self) -> list[int]:
        """First bin of every band of a spectrum."""
        firsts, bins = [0], self.spectrum_size // 2 + 1
        while (following := firsts[-1] + max(1, round(firsts[-1] / self.single_bins))) < bins:
            firsts.append(following)
        return firsts

    @property
    def numbers(self) -> int:
        """Of a spectrum: levels of the bands of middle and side."""
        return 2 * len(self.bands)

    @property
    def codebooks(self) -> int:
        return len(self.middle_hz) + len(self.side_hz)

    @property
    def shares(self) -> list[tuple[int, int]]:
        """First and last, exclusive, of each codebook's numbers in a spectrum."""
        hz = [first * self.sample_rate / self.spectrum_size for first in self.bands]
        half = len(self.bands)
        starts = [bisect_left(hz, low) for low in self.middle_hz] + [half + bisect_left(hz, low) for low in self.side_hz]
        return list(zip(starts, [*starts[1:], 2 * half], strict=True))

    @property
    def reach_frames(self) -> int:
        """Code frames on either side that a decoded frame depends on."""
        half = self.kernel // 2
        return half * (self.slow_blocks + 1) + -(-half * self.fast_blocks // self.frame_hops)


@dataclass(frozen=True, slots=True)
class PriorConfig:
    """A transformer over code frames, in the delay pattern; each position sees `window` positions."""

    width: int
    depth: int
    heads: int
    window: int = 512
    codebooks: int = len(MIDDLE_HZ) + len(SIDE_HZ)
    codes: int = 1024
    heard_width: int = 17
    """Numbers that stand for a code that is heard; at first they are the codec's, and a 1."""
    said_width: int = 48
    """And for one that may be said: those, and some that tell apart what is said in different places."""
    together: int = 4
    """Codebooks that are chosen at once; each such group comes a step after the one below it."""
    ahead: int = 2
    """Frames of the lead sheet that a step reads past its own."""
    read_width: int = 128
    """Numbers that stand for a frame's notes."""

    @property
    def delays(self) -> list[int]:
        """Of each codebook, in steps."""
        return [book // self.together for book in range(self.codebooks)]

    @property
    def around(self) -> range:
        """Frames of the lead sheet that a step reads, seen from its own: back to those whose last codes it chooses."""
        return range(-max(self.delays), self.ahead + 1)


@dataclass(frozen=True, slots=True)
class CorpusRecipe:
    pieces: int
    """Of the composer."""
    seconds: float
    processes: int = 1
    held_out_pieces: int = 32
    held_out_share: float = 0.1
    """Of a user's recordings; at least one."""
    composed: float = 0.5
    """Share of the composer's pieces in every batch, where there are recordings."""


@dataclass(frozen=True, slots=True)
class CodecRecipe:
    steps: int
    batch: int = 8
    crop_seconds: float = 2.56
    learning_rate: float = 1e-3
    ema_decay: float = 0.995


@dataclass(frozen=True, slots=True)
class PriorRecipe:
    steps: int
    batch: int = 8
    crop_frames: int = 512
    learning_rate: float = 5e-4
    unsaid: float = 0.12
    """How often all conditions and the beat are dropped: what guidance is measured against."""
    unsaid_each: float = 0.15
    """How often each condition is dropped by itself."""
    blurred: float = 0.3
    """Share of the pieces of which some past codes, from few to nearly all, are hidden: who can copy the past does not learn to listen."""
    jitter: float = 0.5
    """Most noise on the past of half of the pieces, in spreads of the codes' vectors: when it plays, its past is its own, which flutters."""
    scored: int = 16
    """Codebooks of a step that are scored, drawn anew at each: their chances are most of what a step costs."""
    ema_decay: float = 0.995


@dataclass(frozen=True, slots=True)
class PolishRecipe:
    """The adversarial fine-tune of the codec's decoder; batches are the codec's."""

    steps: int
    learning_rate: float = 2e-4
    adversarial_weight: float = 0.01
    feature_weight: float = 2.0
    """Of the discriminators' features beside their verdict."""
    jury_width: int = 32
    ema_decay: float = 0.995


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that `gridtone train` does, from the corpus to the weights."""

    name: str
    codec: CodecConfig
    prior: PriorConfig
    corpus: CorpusRecipe
    train_codec: CodecRecipe
    train_prior: PriorRecipe
    polish: PolishRecipe
    seed: int = 0
    save_minutes: float = 3.0
    """Between checkpoints."""
    device: str = ""
    """`cpu`, `cuda`; empty: cuda where there is one."""
    threads: int = 1
    """Of the CPU."""
    loaders: int = 0
    """Processes that make batches ahead, for a device that would wait for them; 0: each is made when it is wanted."""
    sample_prompts: tuple[str, ...] = field(default=("calm, slow, warm pads", "专注、沉稳、有节奏"))
    recordings: str = ""
    """A folder with a user's own recordings to train on, each with a caption beside it where there is one: `name.wav`, `name.txt`."""
    start: str = ""
    """A folder with weights that training goes on from, or OURS; empty: from nothing."""
    start_prior: bool = True
    """Whether the prior goes on from there too. False: only the codec and its codes do, and a prior of any shape begins from nothing."""


RECIPES: dict[str, Recipe] = {
    "tiny": Recipe(
        "tiny",
        CodecConfig(width=32, fast_blocks=1, slow_blocks=1, middle_hz=(0, 250, 500, 1000, 3000), side_hz=(0,), latent_width=8, codes=64),
        PriorConfig(width=64, depth=2, heads=2, window=24, codebooks=6, codes=64, heard_width=9, said_width=16, together=2, read_width=32),
        CorpusRecipe(pieces=32, seconds=2.0),
        CodecRecipe(steps=80, batch=4, crop_seconds=0.64, learning_rate=2e-3, ema_decay=0.95),
        PriorRecipe(steps=100, batch=4, crop_frames=20, learning_rate=2e-3, scored=3, ema_decay=0.95),
        PolishRecipe(steps=20, jury_width=8, ema_decay=0.9),
    ),
    "small": Recipe(
        "small",
        CodecConfig(width=256),
        PriorConfig(width=256, depth=6, heads=4, window=256),
        CorpusRecipe(pieces=2048, seconds=20.0, processes=2),
        CodecRecipe(steps=1_000),
        PriorRecipe(steps=3_400, batch=8, crop_frames=240, learning_rate=1.2e-3),
        PolishRecipe(steps=1_500),
    ),
    "base": Recipe(
        "base",
        CodecConfig(width=320),
        PriorConfig(width=384, depth=8, heads=6, window=512),
        CorpusRecipe(pieces=9600, seconds=30.0, processes=16, held_out_pieces=64),
        CodecRecipe(steps=15_000, batch=32, ema_decay=0.999),
        PriorRecipe(steps=20_000, batch=128, crop_frames=500, learning_rate=8e-4, ema_decay=0.9995),
        PolishRecipe(steps=10_000, ema_decay=0.999),
        loaders=12,
    ),
}
"""`tiny` proves the way from end to end in a minute, `small` trains on two CPU cores, `base` wants one GPU."""
OURS = "shipped"
"""As a recipe's `start`: the weights that come with gridtone."""


def read_recipe(source: str) -> Recipe:
    """A recipe by its name, or from a YAML file that says which one it starts `from` and what differs; folders in it are seen from where the file lies.

    Raises ValueError for what no recipe has.
    """
    if source in RECIPES:
        return RECIPES[source]
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"{source!r} is neither a recipe ({', '.join(RECIPES)}) nor a file")
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        said = YAML(typ="safe").load(path.read_text("utf-8")) or {}
    except YAMLError as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(said, dict):
        raise ValueError(f"{path} holds no settings; write, for example, `from: small`")
    start = said.pop("from", "small")
    if not isinstance(start, str) or start not in RECIPES:
        raise ValueError(f"{path}: no recipe is called {start!r}; there are: {', '.join(RECIPES)}")
    recipe: Recipe = changed(RECIPES[start], {"name": path.stem, **said}, str(path))
    return replace(
        recipe,
        recordings=recipe.recordings and str(path.parent / recipe.recordings),
        start=recipe.start if recipe.start in ("", OURS) else str(path.parent / recipe.start),
    )


def changed(part: Any, said: dict[str, Any], place: str) -> Any:
    """A dataclass with the values that `said` names, groups within groups. Raises ValueError, naming the `place`, for an unknown name or another type."""
    known = {entry.name: getattr(part, entry.name) for entry in fields(part)}
    values = {}
    for name, value in said.items():
        if name not in known:
            raise ValueError(f"{place}: there is no {name!r}; known are {', '.join(known)}")
        now = known[name]
        if is_dataclass(now):
            if not isinstance(value, dict):
                raise ValueError(f"{place}.{name} is a group of settings, not {value!r}")
            value = changed(now, value, f"{place}.{name}")
        elif isinstance(now, tuple):
            if not isinstance(value, list) or not all(isinstance(one, type(now[0])) for one in value):
                raise ValueError(f"{place}.{name} is {value!r}; a list like {list(now[:3])!r} is wanted")
            value = tuple(value)
        elif isinstance(now, float) and isinstance(value, int):
            value = float(value)
        elif not isinstance(value, type(now)):
            raise ValueError(f"{place}.{name} is {value!r}; a value like {now!r} is wanted")
        values[name] = value
    return replace(part, **values)


def read_shapes(folder: Path) -> tuple[CodecConfig, PriorConfig]:
    """Raises EngineError if the folder holds no weights of undertone."""
    try:
        described = json.loads((folder / "undertone.json").read_text("utf-8"))
        codec = CodecConfig(**described["codec"])  # JSON has no tuples
        codec = replace(codec, middle_hz=tuple(codec.middle_hz), side_hz=tuple(codec.side_hz))
        return codec, PriorConfig(**described["prior"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"{folder} holds no weights of undertone ({error}); make them: gridtone train export") from error
