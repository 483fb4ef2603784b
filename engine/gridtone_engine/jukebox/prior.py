"""A prior: the distribution of one level's codes, sampled one after another (section 4 of the paper)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gridtone_engine.jukebox.conditioners import CodeConditioner, LabelConditioner, LyricsEncoder
from gridtone_engine.jukebox.configs import PriorConfig
from gridtone_engine.jukebox.transformer import Transformer


@dataclass(slots=True)
class Conditions:
    """All that a window is conditioned on, ready for use."""

    start: Tensor
    """Stands before the first token, (batch, width)."""
    along: Tensor
    """Added at every position, (batch, context, width)."""
    characters: Tensor
    """Lyric characters that come before the codes in the sequence, (batch, n); n = 0 where an encoder reads them, or nobody."""
    lyrics: Tensor | None
    """Encoded lyrics for cross attention, (batch, characters, width)."""


@dataclass(slots=True)
class DecodeState:
    """Everything that sampling changes, made once and reused by every window: one row a track, each at a position of its own."""

    caches: list[Tensor]
    start: Tensor
    along: Tensor
    tokens: Tensor
    """(batch, context): lyric characters, then codes, in the sequence's own numbering."""
    position: Tensor
    """Of the token that the next step samples, (batch,)."""
    running: Tensor
    """1 for rows that sample, 0 for rows that idle, (batch,)."""
    noise: Tensor
    """One uniform number in [0, 1) for every position, (batch, context): what is sampled depends on nothing else."""


def choose(logits: Tensor, noise: Tensor) -> Tensor:
    """Sample from logits (batch, n) by inverting the cumulative distribution at noise (batch,)."""
    cumulative = logits.float().softmax(-1).cumsum(-1)
    return torch.searchsorted(cumulative, (noise * cumulative[:, -1])[:, None], right=True)[:, 0].clamp(max=logits.shape[-1] - 1)


class Prior(nn.Module):
    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        width, context = config.transformer.width, config.transformer.context
        self.first_code = config.lyrics.vocabulary if config.lyrics and config.lyrics_in_sequence else 0
        """Characters come first in a shared vocabulary."""
        self.embedding = nn.Embedding(self.first_code + config.codes, width)
        self.positions = nn.Parameter(torch.zeros(context, width))
        self.transformer = Transformer(config.transformer, config.lyrics.characters if config.lyrics else 0)
        self.output = None if config.tied_output else nn.Linear(width, config.codes, bias=False)
        self.label_conditioner = LabelConditioner(config.labels, width, config.codes_context, config.sample_rate)
        self.code_conditioner = CodeConditioner(config.conditioner, config.codes, width) if config.conditioner else None
        self.lyrics_encoder = LyricsEncoder(config.lyrics, width) if config.lyrics and config.lyrics.encoder else None

    def condition(self, y: Tensor, above: Tensor | None = None) -> Conditions:
        """Label vectors (batch, 4 + genres + characters) and, for an upsampler, the codes of the level above for this window."""
        labels = y[:, : 4 + self.config.labels.genres_at_most]
        characters = y[:, labels.shape[1] :]
        start, along = self.label_conditioner(labels)
        if self.code_conditioner is not None:
            if above is None:
                raise ValueError(f"{self.config.name} needs the codes of the level above")
            along = self.code_conditioner(above)
        elif along is None:
            along = start.new_zeros(len(y), self.config.codes_context, start.shape[1])
        along = F.pad(along, (0, 0, self.config.lyrics_in_sequence, 0))
        if self.lyrics_encoder is not None:
            return Conditions(start, along, characters[:, :0], self.lyrics_encoder(characters))
        return Conditions(start, along, characters, None)

    def forward(self, codes: Tensor, conditions: Conditions) -> Tensor:
        """Logits of every position, (batch, context, vocabulary): each predicts the token at its own place from those before it."""
        tokens = self.sequence(codes, conditions.characters)
        x = self.transformer(self._embed(tokens, conditions), conditions.lyrics)
        along = conditions.along[:, : x.shape[1]]
        return self.output(x) if self.output is not None else F.linear(x + along, self.embedding.weight)

    def sequence(self, codes: Tensor, characters: Tensor) -> Tensor:
        """The tokens as the transformer sees them: characters, then codes moved past the characters' vocabulary."""
        return torch.cat([characters, codes + self.first_code], dim=1)

    def _embed(self, tokens: Tensor, conditions: Conditions) -> Tensor:
        """Each position holds the token before it; the first holds the labels."""
        x = torch.cat([conditions.start[:, None], self.embedding(tokens[:, :-1])], dim=1)
        return x + self.positions[: x.shape[1]] + conditions.along[:, : x.shape[1]]

    # Sampling

    def setup_caches(self, batch: int) -> DecodeState:
        """The state for sampling `batch` tracks at once, on the device and in the type of the weights."""
        width, context = self.config.transformer.width, self.config.transformer.context
        device, dtype = self.positions.device, self.positions.dtype
        return DecodeState(
            caches=self.transformer.setup_caches(batch, dtype, device),
            start=torch.zeros(batch, width, dtype=dtype, device=device),
            along=torch.zeros(batch, context, width, dtype=dtype, device=device),
            tokens=torch.zeros(batch, context, dtype=torch.long, device=device),
            position=torch.zeros(batch, dtype=torch.long, device=device),
            running=torch.zeros(batch, dtype=torch.long, device=device),
            noise=torch.zeros(batch, context, device=device),
        )

    def state_bytes(self) -> int:
        """Memory that `setup_caches` takes for one track."""
        config, positions = self.config, self.positions
        cells = sum(layer.attention.table.rows * layer.attention.table.span for layer in self.transformer.layers) * 2 * config.transformer.attention_width
        return (cells + (config.transformer.context + 1) * config.transformer.width) * positions.element_size() + config.transformer.context * 12 + 16

    @torch.inference_mode()
    def prefill(self, state: DecodeState, row: int, conditions: Conditions, codes: Tensor, noise: Tensor) -> None:
        """Put one track's window into `row`: what is known of it goes through the transformer in one pass.

        `codes` (1, known) are the first codes of the window, `noise` (codes_context,) is for all of them.
        """
        known = self.sequence(codes, conditions.characters)
        length = known.shape[1]
        state.start[row] = conditions.start[0]
        state.along[row] = conditions.along[0]
        state.tokens[row, :length] = known[0]
        state.noise[row, self.config.lyrics_in_sequence :] = noise
        # At least one position, so that caches are cleared and lyrics stored; the first step writes it once more.
        x = self._embed(F.pad(known, (0, 1))[:, : max(length, 1)], conditions)
        self.transformer(x, conditions.lyrics, [cache[row : row + 1] for cache in state.caches])
        state.position[row] = length
        state.running[row] = 1

    def step(self, state: DecodeState, temperature: float) -> Tensor:
        """Sample one code in every row and move on. Reads and writes `state` only, decides nothing on the host: fit to be captured as a CUDA graph.

        Returns the logits of the codes, (batch, codes).
        """
        batch = torch.arange(len(state.position), device=state.position.device)
        before = state.tokens[batch, (state.position - 1).clamp(min=0)]
        x = torch.where(state.position[:, None] == 0, state.start, self.embedding(before))
        along = state.along[batch, state.position]
        x = self.transformer.step(x + self.positions[state.position] + along, state.position, state.caches)
        logits = self.output(x) if self.output is not None else F.linear(x + along, self.embedding.weight[self.first_code :])
        code = choose(logits.float() / temperature, state.noise[batch, state.position])
        state.tokens[batch, state.position] = code + self.first_code
        state.position += state.running
        return logits

    def codes_of(self, state: DecodeState, row: int, count: int) -> Tensor:
        """The first `count` codes of the window in `row`."""
        first = self.config.lyrics_in_sequence
        return state.tokens[row, first : first + count] - self.first_code
