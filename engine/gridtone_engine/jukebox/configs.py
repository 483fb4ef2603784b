"""The published models, as plain data (Dhariwal et al. 2020, arXiv:2005.00341, appendix B).

Levels count from the audio up: level 0 has the most codes a second and is heard, level 2 (the top) has the fewest and is sampled first.
"""

from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul

LICENCE = "OpenAI Jukebox Noncommercial Use License"
"""Of OpenAI's published weights: neither they nor anything made with them may be used commercially."""


@dataclass(frozen=True, slots=True)
class VQVAEConfig:
    """Three auto-encoders, one a level, each with its own codebook."""

    sample_rate: int = 44_100
    downs: tuple[int, ...] = (3, 2, 2)
    """Halvings of the time axis that each level adds to the level below."""
    width: int = 32
    depth: int = 4
    """Residual blocks after each halving."""
    multipliers: tuple[int, ...] = (2, 1, 1)
    """Of width and depth, a level."""
    dilation_growth: int = 3
    code_width: int = 64
    codes: int = 2048
    commit: float = 0.02
    codebook_decay: float = 0.99

    @property
    def levels(self) -> int:
        return len(self.downs)

    @property
    def hops(self) -> tuple[int, ...]:
        """Audio samples a code, for each level: 8, 32, 128."""
        return tuple(accumulate((2**down for down in self.downs), mul))


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """A stack of factored attention over `context` positions, seen as `blocks` rows of `block_length`."""

    width: int
    depth: int
    heads: int
    context: int
    blocks: int
    attention_order: int = 2
    """Which attention each layer has: see `attention.layer_kinds`."""
    attention_share: float = 0.25
    """Width of queries, keys and values, as a share of `width`."""
    mlp_share: float = 1.0

    @property
    def block_length(self) -> int:
        return self.context // self.blocks

    @property
    def attention_width(self) -> int:
        return int(self.attention_share * self.width)


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """What a prior is told about the piece. `version` names OpenAI's label set."""

    version: str
    genres: int
    artists: int
    genres_at_most: int
    timing_bins: int | None
    """None: no timing (the upsamplers)."""
    shortest_seconds: float = 0.0
    """Of the whole piece, of which a window is a part."""
    longest_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class LyricsConfig:
    """Characters that are sung. Without an encoder they stand before the codes in the prior's own sequence."""

    characters: int
    vocabulary: int
    encoder: TransformerConfig | None


@dataclass(frozen=True, slots=True)
class ConditionerConfig:
    """Dilated convolutions that bring the codes of the level above to this level's rate."""

    downs: int
    width: int = 1024
    depth: int = 16
    dilation_growth: int = 3
    dilation_cycle: int = 8
    residual_scale: bool = False
    """Divide each residual branch by the square root of the depth."""


@dataclass(frozen=True, slots=True)
class PriorConfig:
    """The distribution of one level's codes, given labels, lyrics and the level above."""

    name: str
    level: int
    hop: int
    """Audio samples a code."""
    transformer: TransformerConfig
    labels: LabelConfig
    lyrics: LyricsConfig | None = None
    conditioner: ConditionerConfig | None = None
    codes: int = 2048
    tied_output: bool = True
    """The output layer is the embedding, and the conditioning is added once more before it. The 5b priors do neither."""
    hop_fraction: float = 0.5
    """How far each window moves on, as a share of `codes_context`."""
    sample_rate: int = 44_100

    @property
    def lyrics_in_sequence(self) -> int:
        """Positions that lyrics take in the prior's own sequence."""
        return self.lyrics.characters if self.lyrics and self.lyrics.encoder is None else 0

    @property
    def codes_context(self) -> int:
        """Codes in a window."""
        return self.transformer.context - self.lyrics_in_sequence

    @property
    def window_seconds(self) -> float:
        return self.codes_context * self.hop / self.sample_rate


@dataclass(frozen=True, slots=True)
class JukeboxConfig:
    """A VQ-VAE and its priors, level 0 first."""

    name: str
    vqvae: VQVAEConfig
    priors: tuple[PriorConfig, ...]

    def __post_init__(self) -> None:
        for level, prior in enumerate(self.priors):
            if prior.level != level or prior.hop != self.vqvae.hops[level] or prior.codes != self.vqvae.codes:
                raise ValueError(f"prior {prior.name!r} stands at level {level} but is made for level {prior.level}, hop {prior.hop}, {prior.codes} codes")

    @property
    def top(self) -> PriorConfig:
        return self.priors[-1]

    @property
    def label_files(self) -> list[str]:
        """Names of the files that hold its label sets, lines of `name;id`."""
        versions = sorted({prior.labels.version for prior in self.priors})
        return [f"{version}_{kind}_ids.txt" for version in versions for kind in ("artist", "genre")]

    @property
    def shortest_seconds(self) -> float:
        """Least audio that can be upsampled: one window of the longest upsampler."""
        return max(prior.window_seconds for prior in self.priors[:-1])


VQVAE_CONFIG = VQVAEConfig()

_V2 = LabelConfig("v2", genres=120, artists=4111, genres_at_most=5, timing_bins=128, shortest_seconds=60.0)
_V3 = LabelConfig("v3", genres=604, artists=7898, genres_at_most=1, timing_bins=64, shortest_seconds=17.84)


def _upsampler(level: int, *, residual_scale: bool) -> PriorConfig:
    return PriorConfig(
        name=f"upsampler_{level}",
        level=level,
        hop=VQVAE_CONFIG.hops[level],
        transformer=TransformerConfig(width=1920, depth=72, heads=1, context=8192, blocks=128),
        labels=replace(_V2, timing_bins=None),
        conditioner=ConditionerConfig(downs=VQVAE_CONFIG.downs[level + 1], residual_scale=residual_scale),
    )


UPSAMPLER_0 = _upsampler(0, residual_scale=False)
UPSAMPLER_1 = _upsampler(1, residual_scale=True)

TOP_5B = PriorConfig(
    name="5b",
    level=2,
    hop=VQVAE_CONFIG.hops[2],
    transformer=TransformerConfig(width=4800, depth=72, heads=8, context=8192, blocks=128),
    labels=_V2,
    tied_output=False,
    hop_fraction=0.125,
)

TOP_5B_LYRICS = replace(
    TOP_5B,
    name="5b_lyrics",
    transformer=replace(TOP_5B.transformer, depth=79, attention_order=10),
    labels=replace(_V2, shortest_seconds=23.8),
    lyrics=LyricsConfig(512, vocabulary=80, encoder=TransformerConfig(width=1280, depth=18, heads=4, context=512, blocks=32)),
)

TOP_1B_LYRICS = PriorConfig(
    name="1b_lyrics",
    level=2,
    hop=VQVAE_CONFIG.hops[2],
    transformer=TransformerConfig(width=2048, depth=72, heads=2, context=6144 + 384, blocks=64, attention_order=12),
    labels=_V3,
    lyrics=LyricsConfig(384, vocabulary=79, encoder=None),
    hop_fraction=0.125,
)

MODELS = {top.name: JukeboxConfig(top.name, VQVAE_CONFIG, (UPSAMPLER_0, UPSAMPLER_1, top)) for top in (TOP_1B_LYRICS, TOP_5B, TOP_5B_LYRICS)}


def tiny(model: JukeboxConfig) -> JukeboxConfig:
    """`model` in miniature: its depths, attention orders, lyrics, labels and conditioners at a width that a CPU samples in seconds."""

    def small(config: PriorConfig) -> PriorConfig:
        lyrics = config.lyrics and LyricsConfig(
            24,
            config.lyrics.vocabulary,
            config.lyrics.encoder and replace(config.lyrics.encoder, width=16, context=24, blocks=6),
        )
        shape = {"context": 96 + 24, "blocks": 8} if config.lyrics_in_sequence else {"context": 128, "blocks": 16}
        return replace(
            config,
            transformer=replace(config.transformer, width=32, heads=min(2, config.transformer.heads), **shape),
            labels=replace(config.labels, genres=20, artists=30, timing_bins=config.labels.timing_bins and 16),
            lyrics=lyrics,
            conditioner=config.conditioner and replace(config.conditioner, width=8),
            codes=64,
        )

    return JukeboxConfig(
        f"tiny {model.name}",
        replace(model.vqvae, width=8, depth=2, code_width=8, codes=64),
        tuple(small(prior) for prior in model.priors),
    )
