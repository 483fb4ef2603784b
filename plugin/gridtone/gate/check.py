"""The judgement: every check of the gate over one rendition."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gridtone.gate import alarms, defects
from gridtone.gate.limits import GateLimits
from gridtone.gate.loudness import measure, true_peak

SHORTEST_SECONDS = 1.0
"""Less than this cannot be judged."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One check that a rendition did not pass."""

    check: str
    """Its name, as in `docs/gate.md`."""
    message: str
    """What was measured, and the limit."""
    at_seconds: float | None = None
    """Where, from the start, if it is somewhere."""


@dataclass(frozen=True, slots=True)
class GateReport:
    """What the gate found."""

    loudness_lufs: float
    true_peak_dbtp: float
    failures: tuple[Failure, ...] = ()
    measures: dict[str, float] = field(default_factory=dict)
    """Check -> what it measured."""

    @property
    def passed(self) -> bool:
        return not self.failures


def check(samples: NDArray[np.float32], sample_rate: int, limits: GateLimits | None = None) -> GateReport:
    """Judge samples of shape (channels, frames), one or two channels. Never fails: what cannot be measured does not pass."""
    limits = limits or GateLimits()
    unreadable = _unreadable(samples, sample_rate)
    if unreadable:
        return GateReport(float("-inf"), float("-inf"), (unreadable,))
    loudness = measure(samples, sample_rate)
    integrated = loudness.integrated
    peak_dbtp = _db(true_peak(samples))
    if not np.isfinite(integrated):
        return GateReport(integrated, peak_dbtp, (Failure("silence", "the whole track is silent (below -70 LUFS)"),))

    short_term = loudness.over(3.0)
    loudest = int(short_term.argmax())
    dc, dc_at = defects.worst_dc(samples, sample_rate)
    click, click_at = defects.worst_click(samples, sample_rate)
    silence, silence_at = defects.longest_silence(loudness, integrated + limits.silence_below_lu, limits.silence_edge_seconds)
    rise, rise_at = defects.worst_rise(loudness, integrated + limits.rise_floor_lu)
    start, end = (level - integrated for level in defects.edge_levels(loudness))
    sound = alarms.listen(samples, sample_rate)
    tone, tone_at = sound.tone_prominence()
    pulse, pulse_at = sound.pulse_share()
    glide, glide_at = sound.widest_glide()
    seconds = samples.shape[1] / sample_rate

    found = [
        _above("loudness", abs(integrated - limits.loudness_lufs), limits.loudness_tolerance_lu, f"LU off {limits.loudness_lufs:g} LUFS"),
        _above("short_term", short_term[loudest] - integrated, limits.short_term_max_lu, "LU above the integrated loudness for 3 s", loudest / 100),
        _above("true_peak", peak_dbtp, limits.true_peak_max_dbtp, "dBTP true peak"),
        _above("dc", _db(dc), limits.dc_max_dbfs, "dBFS mean over a second", dc_at),
        _above("click", click, limits.click_ratio_max, "times the jumps around it", click_at),
        _above("silence", silence, limits.silence_max_seconds, f"s below {limits.silence_below_lu:g} LU", silence_at),
        _above("rise", rise, limits.rise_max_lu, "LU rise within 100 ms", rise_at),
        _above("fade_in", start, limits.edge_level_max_lu, "LU in the first 20 ms", 0.0),
        _above("fade_out", end, limits.edge_level_max_lu, "LU in the last 20 ms", seconds),
        _above("tone", tone, limits.tone_prominence_max_db, "dB of a standing tone above what is around it", tone_at),
        _above("pulse", pulse, limits.pulse_share_max, "of the energy goes on and off regularly", pulse_at),
        _above("glide", glide, limits.glide_max_semitones, "semitones of continuous glide", glide_at),
    ]
    share = sound.speech_band_share
    if limits.speech_band_share_max is not None:
        found.append(_above("speech_band", share, limits.speech_band_share_max, "of the energy lies in 200 to 5000 Hz"))
    measures = {name: value for name, value, _ in found} | {"speech_band": share}
    return GateReport(integrated, peak_dbtp, tuple(failure for *_, failure in found if failure), measures)


def _unreadable(samples: NDArray[np.float32], sample_rate: int) -> Failure | None:
    if samples.ndim != 2 or not 1 <= samples.shape[0] <= 2:
        return Failure("format", f"samples of shape {samples.shape}: expected (channels, frames) with one or two channels")
    if samples.shape[1] < SHORTEST_SECONDS * sample_rate:
        return Failure("format", f"{samples.shape[1] / sample_rate:.2f} s is too short to judge: at least {SHORTEST_SECONDS:g} s")
    bad = ~np.isfinite(samples).all(axis=0)
    if bad.any():
        return Failure("nan", f"{int(bad.sum())} samples are NaN or infinite", int(bad.argmax()) / sample_rate)
    return None


def _db(value: float) -> float:
    return float(20 * np.log10(max(value, 1e-10)))


def _above(name: str, value: float, limit: float, unit: str, at_seconds: float | None = None) -> tuple[str, float, Failure | None]:
    """The measure, and the failure if it is above its limit."""
    failure = Failure(name, f"{value:.3g} {unit}; the limit is {limit:g}", at_seconds) if value > limit else None
    return name, float(value), failure
