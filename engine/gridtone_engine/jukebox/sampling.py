"""Sampling a level: windows that overlap by what is already known, many tracks at once (section 4.2 of the paper).

What is sampled depends on weights, labels, the level above, the seed and the place of a code in the track: not on which tracks share the batch, on
where a run was interrupted, or on how many codes are asked for at a time. In 16 or 8 bits that is up to rounding, which a batch of another size may do
otherwise.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gridtone_engine.cuda_graph import captured
from gridtone_engine.jukebox.configs import PriorConfig
from gridtone_engine.jukebox.labels import LabelIds, label_vector
from gridtone_engine.jukebox.prior import DecodeState, Prior

STEPS_BETWEEN_LOOKS = 64
"""Codes sampled without asking whether to go on: the host waits for the device only then."""


def window_starts(total: int, context: int, hop: int) -> list[int]:
    """First codes of the windows of `context` that cover `total` codes, moving on by `hop`; the last one ends where the codes end.

    One window, longer than the codes, where they are fewer than `context`.
    """
    if total <= context:
        return [0]
    return [*range(0, total - context, hop), total - context]


def track_noise(seed: int, level: int, total: int) -> Tensor:
    """One uniform number for each code of a track at a level."""
    return torch.from_numpy(np.random.default_rng([seed % 2**64, level]).random(total, dtype=np.float32))


@dataclass(slots=True)
class Line:
    """A stretch of one track at one level, sampled from its beginning to its end."""

    labels: LabelIds
    total: int
    """Codes wanted."""
    noise: Tensor
    """(total,)"""
    codes: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    """Known so far: a fragment to continue, or what an interrupted run left."""
    above: Tensor | None = None
    """Codes of the level above, for this stretch."""
    first: int = 0
    """Its first code's number in the track."""
    track: int = 0
    """The track's number among those sampled together."""


def side_by_side(line: Line, config: PriorConfig) -> list[Line]:
    """Every window of an upsampler's line as a line of its own, blind to the one before it: for many windows of few tracks at once."""
    assert config.conditioner is not None and line.above is not None, "only an upsampler hears enough without what came before"
    context, downs = config.codes_context, config.conditioner.downs
    return [
        Line(
            labels=line.labels,
            total=min(context, line.total),
            noise=line.noise[start : start + context],
            codes=line.codes[start : start + context],
            above=line.above[start >> downs : (start + context) >> downs],
            first=line.first + start,
            track=line.track,
        )
        for start in window_starts(line.total, context, context)
    ]


def join(line: Line, windows: Iterable[Line]) -> None:
    """Put finished windows that were sampled side by side back into their line. The last one gives way where it overlaps."""
    for window in windows:
        known = len(line.codes) - (window.first - line.first)
        line.codes = torch.cat([line.codes, window.codes[known:]])


@dataclass(slots=True)
class _Seat:
    """A row of the batch: which line it works on, and from which code to which."""

    line: Line
    start: int
    known: int
    end: int


def sample_level(
    prior: Prior,
    lines: Iterable[Line],
    *,
    batch: int,
    hop_fraction: float | None = None,
    temperature: float = 0.99,
    window_done: Callable[[Line], None] = lambda _: None,
    go_on: Callable[[int], bool] = lambda _: True,
) -> None:
    """Fill the `codes` of every line, `batch` of them at a time, each at a place of its own.

    `go_on` is told how many codes were sampled since it was last asked, and ends sampling by returning False; finished windows are kept. Raises
    torch.OutOfMemoryError if `batch` is too many; the lines then hold what was finished, and the call can be repeated with fewer.
    """
    config = prior.config
    hop = int((hop_fraction or config.hop_fraction) * config.codes_context)
    waiting = deque(line for line in lines if len(line.codes) < line.total)
    if not waiting:
        return
    state = prior.setup_caches(min(batch, len(waiting)))
    step = captured_step(prior, state, temperature)
    seats: list[_Seat | None] = [None] * len(state.position)
    while True:
        for row, seat in enumerate(seats):
            if seat is None and waiting:
                seats[row] = _sit_down(prior, state, row, waiting.popleft(), hop)
        left = [seat.end - seat.known for seat in seats if seat]
        if not left:
            return
        steps = min(*left, STEPS_BETWEEN_LOOKS)
        for _ in range(steps):
            step()
        state.position[0].item()  # wait for the device: what is counted below has really been sampled
        for row, seat in enumerate(seats):
            if seat is None:
                continue
            seat.known += steps
            if seat.known < seat.end:
                continue
            line = seat.line
            window = prior.codes_of(state, row, seat.end - seat.start).cpu()
            line.codes = torch.cat([line.codes, window[len(line.codes) - seat.start :]])
            window_done(line)
            if len(line.codes) < line.total:
                seats[row] = _sit_down(prior, state, row, line, hop)
            else:
                seats[row] = None
                state.running[row] = state.position[row] = 0
        if not go_on(steps * len(left)):
            return


@torch.inference_mode()
def _sit_down(prior: Prior, state: DecodeState, row: int, line: Line, hop: int) -> _Seat:
    """Put the first window of `line` that still lacks codes into `row`."""
    config, device = prior.config, state.position.device
    context = config.codes_context
    start = next(start for start in window_starts(line.total, context, hop) if len(line.codes) < min(start + context, line.total))
    end = min(start + context, line.total)
    above = None
    if config.conditioner is not None:
        assert line.above is not None, f"{config.name} needs the codes of the level above"
        downs = config.conditioner.downs
        above = line.above[start >> downs : (start + context) >> downs]
        above = F.pad(above, (0, (context >> downs) - len(above)))[None].to(device)
    conditions = prior.condition(label_vector(config, line.labels, line.first + start).to(device), above)
    noise = F.pad(line.noise[start:end], (0, context - (end - start)))
    prior.prefill(state, row, conditions, line.codes[None, start:end].to(device), noise.to(device))
    return _Seat(line, start, len(line.codes), end)


def captured_step(prior: Prior, state: DecodeState, temperature: float) -> Callable[[], None]:
    """`prior.step` on `state`: on a CUDA device captured once as a graph and replayed, elsewhere called."""

    @torch.inference_mode()
    def step() -> None:
        prior.step(state, temperature)

    return captured(step, state.position.device)  # no row is running yet: what the warm-up writes, a prefill clears
