"""The gate finds what was planted, and lets music through."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import ValidationError
from scipy.signal import butter, sosfilt

from gridtone.gate.check import check
from gridtone.gate.finish import finish
from gridtone.gate.limits import GateLimits

RATE = 48000
SECONDS = 24
TIME = np.arange(SECONDS * RATE) / RATE
CHORDS = ((48, 55, 64, 71), (45, 52, 60, 67), (50, 57, 65, 72), (43, 55, 59, 65))


def hz(note: float) -> float:
    return 440.0 * 2 ** ((note - 69) / 12)


def note(pitch: float, start: float, seconds: float, attack: float, decay: float, partials: int = 6) -> tuple[slice, np.ndarray]:
    """A note of harmonics with an attack, an exponential decay and a soft release."""
    begin = int(start * RATE)
    time = np.arange(min(int(seconds * RATE), len(TIME) - begin)) / RATE
    envelope = np.minimum(time / attack, 1) * np.exp(-time / decay) * np.clip((seconds - time) / 0.15, 0, 1)
    tone = sum(np.sin(2 * np.pi * hz(pitch) * k * time + k) / k**1.5 for k in range(1, partials + 1))
    return slice(begin, begin + len(time)), tone * envelope


def pad_music() -> np.ndarray:
    """Slow chords, soft attacks, each four seconds."""
    mono = np.zeros(len(TIME))
    for bar in range(SECONDS // 4):
        for voice in CHORDS[bar % 4]:
            where, tone = note(voice, bar * 4, 4.6, 1.0, 20.0)
            mono[where] += tone
    return mono


def plucked_music(rng: np.random.Generator) -> np.ndarray:
    """Plucks on every eighth at 100 bpm with a noise burst at each attack, a bass, over soft chords."""
    mono = 0.7 * pad_music()
    for index in range(int(SECONDS / 0.3) - 2):
        chord = CHORDS[int(index * 0.3 / 4) % 4]
        where, tone = note(chord[int(rng.integers(4))] + 12, index * 0.3, 1.5, 0.003, 0.35)
        mono[where] += 1.5 * tone
        burst = rng.normal(size=960) * np.exp(-np.arange(960) / 240)
        mono[where.start : where.start + 960] += 0.2 * burst
    return mono


def drummed_music(rng: np.random.Generator) -> np.ndarray:
    """Plucked music with a soft kick on the beat and a shaker on every eighth: regular, and no alarm."""
    mono = plucked_music(rng)
    shaker = sosfilt(butter(2, [4000, 9000], "bandpass", fs=RATE, output="sos"), rng.normal(size=4800)) * np.exp(-np.arange(4800) / 1200)
    time = np.arange(9600) / RATE
    kick = np.sin(2 * np.pi * (50 * time + 8 * (1 - np.exp(-time / 0.02)) / 10)) * np.exp(-time / 0.07) * np.minimum(time / 0.004, 1)
    for index in range(int(SECONDS / 0.3) - 2):
        begin = int(index * 0.3 * RATE)
        mono[begin : begin + 4800] += 0.6 * shaker
        if index % 2 == 0:
            mono[begin : begin + 9600] += 1.2 * kick
    return mono


def stereo(mono: np.ndarray) -> np.ndarray:
    delayed = np.roll(mono, 300)
    return np.stack([mono + 0.3 * delayed, 0.9 * mono - 0.3 * delayed]).astype(np.float32)


@pytest.fixture(scope="module")
def music() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: finish(stereo(mono), RATE) for name, mono in {"pad": pad_music(), "plucked": plucked_music(rng), "drummed": drummed_music(rng)}.items()}


KINDS = ("pad", "plucked", "drummed")


def failed(samples: np.ndarray, limits: GateLimits | None = None, rate: int = RATE) -> dict[str, float | None]:
    return {failure.check: failure.at_seconds for failure in check(samples, rate, limits).failures}


@pytest.mark.parametrize("kind", KINDS)
def test_music_passes(music, kind):
    report = check(music[kind], RATE)
    assert report.passed, report.failures
    assert abs(report.loudness_lufs + 23) <= 0.5
    assert report.true_peak_dbtp <= -3


def test_mono_and_other_rates_pass(music):
    assert failed(finish(music["pad"][:1], RATE)) == {}
    assert failed(finish(stereo(pad_music())[:, ::2].copy(), RATE // 2), rate=RATE // 2) == {}


# --- alarms ---------------------------------------------------------------------------------------------------------------------------------


def gated(period: float, on: float, ramp: float = 0.01) -> np.ndarray:
    phase = TIME % period
    return np.clip(np.minimum(phase / ramp, (on - phase) / ramp), 0, 1)


def swept(frequency: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * np.cumsum(frequency) / RATE)


def iec_burst(pitches: tuple[float, ...]) -> np.ndarray:
    """High priority of IEC 60601-1-8: ten pulses in two groups of five, four harmonics, every five seconds."""
    sound = np.zeros(len(TIME))
    for begin in np.arange(0, SECONDS, 5.0):
        for group in (0.0, 1.7):
            for offset, pitch in zip((0.0, 0.27, 0.54, 0.9, 1.17), pitches, strict=True):
                phase = TIME - begin - group - offset
                envelope = np.clip(np.minimum(phase / 0.025, (0.17 - phase) / 0.025), 0, 1)
                sound += envelope * sum(np.sin(2 * np.pi * pitch * k * TIME) for k in range(1, 5))
    return sound


ALARMS = {
    "steady 1 kHz": (np.sin(2 * np.pi * 1000 * TIME), "tone"),
    "steady 2.6 kHz": (np.sin(2 * np.pi * 2600 * TIME), "tone"),
    "beeps at 2 Hz": (np.sin(2 * np.pi * 1000 * TIME) * gated(0.5, 0.25), "pulse"),
    "beeps at 0.6 Hz": (np.sin(2 * np.pi * 800 * TIME) * gated(1.6, 0.7), "pulse"),
    "beeps at 7 Hz": (np.sin(2 * np.pi * 2000 * TIME) * gated(1 / 7, 0.07, 0.005), "pulse"),
    "buzzer": (sum(np.sin(2 * np.pi * 400 * k * TIME) / k for k in (1, 3, 5, 7)) * gated(1.0, 0.5), "pulse"),
    "two-tone siren": (swept(np.where(TIME % 1.0 < 0.5, 770.0, 960.0)), "pulse"),
    "medical burst": (iec_burst((523.0,) * 5), "pulse"),
    "yelp": (swept(500 + 1000 * (TIME * 3 % 1)), "pulse"),
    "wail": (swept(500 + 500 * (1 - np.cos(2 * np.pi * TIME / 5))), "glide"),
    "slow wail": (swept(600 + 600 * np.abs(TIME % 8 / 4 - 1)), "glide"),
    "single rising sweep": (swept(400 * 2 ** np.clip(TIME - 8, 0, 2)) * ((TIME > 8) & (TIME < 10)), "glide"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alarm", ALARMS)
def test_alarms_as_loud_as_the_music_are_refused(music, kind, alarm):
    sound, expected = ALARMS[alarm]
    level = np.sqrt(np.mean(sound[sound != 0] ** 2))
    mixed = finish(music[kind] + (sound / level * music[kind].std()).astype(np.float32), RATE)
    assert expected in failed(mixed), check(mixed, RATE).measures


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alarm", ["two-tone siren", "wail", "yelp"])
def test_sirens_are_refused_six_decibels_below_the_music(music, kind, alarm):
    sound, expected = ALARMS[alarm]
    level = np.sqrt(np.mean(sound[sound != 0] ** 2))
    mixed = finish(music[kind] + (0.5 * sound / level * music[kind].std()).astype(np.float32), RATE)
    assert expected in failed(mixed), check(mixed, RATE).measures


# --- defects --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at", [5.0234, 11.9])
def test_a_single_wrong_sample_is_a_click(music, kind, at):
    broken = music[kind].copy()
    broken[0, int(at * RATE)] += 0.1
    assert failed(broken)["click"] == pytest.approx(at, abs=0.005)


def test_a_cut_is_a_click(music):
    broken = music["pad"].copy()
    begin = int(7.5 * RATE)
    while abs(broken[1, begin]) < 0.05:
        begin += 1
    broken[:, begin : begin + 2400] = 0
    assert failed(broken)["click"] == pytest.approx(begin / RATE + 0.025, abs=0.03)


def test_nan_and_infinity_are_found_where_they_are(music):
    for value in (np.nan, np.inf, -np.inf):
        broken = music["pad"].copy()
        broken[1, 3 * RATE] = value
        assert failed(broken) == {"nan": 3.0}
        assert failed(finish(broken, RATE)).keys() == {"nan"}


def test_dc_is_found_and_removed(music):
    broken = music["pad"] + np.float32(0.02)
    assert "dc" in failed(broken)
    assert "dc" not in failed(finish(broken, RATE))


def test_dead_air_is_found_and_rests_are_not(music):
    def rest(seconds: float) -> np.ndarray:
        envelope = np.interp(TIME, [0, 9, 10, 10 + seconds, 11 + seconds, SECONDS], [1, 1, 0, 0, 1, 1])
        return finish(music["pad"] * envelope.astype(np.float32), RATE)

    assert failed(rest(5.0))["silence"] == pytest.approx(10, abs=0.7)
    assert "silence" not in failed(rest(2.0))


def test_silence_and_scraps_do_not_pass():
    assert failed(np.zeros((2, 10 * RATE), np.float32)).keys() == {"silence"}
    assert failed(finish(np.zeros((2, 10 * RATE), np.float32), RATE)).keys() == {"silence"}
    assert failed(np.zeros((2, 100), np.float32)).keys() == {"format"}
    assert failed(np.zeros((2, 0), np.float32)).keys() == {"format"}
    assert failed(np.zeros((6, RATE), np.float32)).keys() == {"format"}


def test_missing_fades_are_found(music):
    cut = music["pad"][:, 6 * RATE : 18 * RATE]
    assert {"fade_in", "fade_out"} <= failed(cut).keys()
    assert not {"fade_in", "fade_out"} & failed(finish(cut, RATE)).keys()


def test_a_startling_rise_is_found_and_a_soft_note_after_a_rest_is_not(music):
    def step(decibels: float, background: float) -> np.ndarray:
        envelope = np.interp(TIME, [0, 12, 12.02, 14, 16, SECONDS], background * np.array([1, 1, *([10 ** (decibels / 20)] * 2), 1, 1]))
        return music["pad"] * envelope.astype(np.float32)

    assert failed(finish(step(12, 1.0), RATE))["rise"] == pytest.approx(12.1, abs=0.2)
    assert "rise" not in failed(finish(step(4, 1.0), RATE))
    swell = music["pad"] * np.interp(TIME, [0, 8, 12, SECONDS], [0.2, 0.2, 1, 1]).astype(np.float32)
    assert "rise" not in failed(finish(swell, RATE))
    rest = music["pad"] * np.interp(TIME, [0, 9, 9.5, 11, 11.05, 13, 15, SECONDS], [1, 1, 0, 0, 0.5, 0.5, 1, 1]).astype(np.float32)
    assert "rise" not in failed(finish(rest, RATE))


def test_a_passage_that_stands_out_is_found(music):
    envelope = np.interp(TIME, [0, 8, 11, 15, 18, SECONDS], [0.4, 0.4, 1, 1, 0.4, 0.4])
    found = failed(finish((music["pad"] * envelope).astype(np.float32), RATE))
    assert 9 < found["short_term"] < 16


def test_loudness_off_target_is_found(music):
    assert failed(music["pad"] * np.float32(1.1)).keys() == {"loudness"}
    assert failed(music["pad"] * np.float32(0.9)).keys() == {"loudness"}


def test_peaks_are_limited_only_where_they_must_be(music):
    spiky = music["pad"].copy()
    for at in range(2 * RATE, 22 * RATE, 4 * RATE):
        where, burst = note(40, at / RATE, 0.3, 0.004, 0.03)
        spiky[:, where] += 3 * burst.astype(np.float32)
    assert "true_peak" in failed(spiky * np.float32(0.5))
    finished = finish(spiky, RATE)
    assert check(finished, RATE).true_peak_dbtp <= -3
    assert abs(check(finished, RATE).loudness_lufs + 23) <= 0.5
    assert "click" not in failed(finished)
    untouched = music["pad"][:, RATE:-RATE]
    same = finish(music["pad"], RATE)[:, RATE:-RATE]
    np.testing.assert_allclose(same / same.std(), untouched / untouched.std(), atol=1e-3)


def test_a_peak_between_the_samples_counts():
    quarter = 0.8 * np.sin(2 * np.pi * RATE / 4 * TIME[: 4 * RATE] + np.pi / 4)  # the samples reach 0.57 only
    assert check(np.stack([quarter, quarter]).astype(np.float32), RATE).true_peak_dbtp == pytest.approx(20 * np.log10(0.8), abs=0.2)


def test_the_speech_band_is_capped_only_where_the_site_says_so(music):
    assert "speech_band" not in failed(music["plucked"])
    assert "speech_band" in failed(music["plucked"], GateLimits(speech_band_share_max=0.3))
    low = sosfilt(butter(6, 150, fs=RATE, output="sos"), pad_music())
    assert check(finish(stereo(low), RATE), RATE).measures["speech_band"] < 0.2


def test_limits_are_the_sites(music):
    quieter = GateLimits(loudness_lufs=-30, true_peak_max_dbtp=-12)
    assert failed(finish(music["pad"], RATE, quieter), quieter) == {}
    assert {"loudness"} <= failed(music["pad"], quieter).keys()
    with pytest.raises(ValidationError, match="loudness_lfs"):
        GateLimits(loudness_lfs=-23)
    described = GateLimits.model_json_schema()["properties"]
    assert all(entry.get("description") for entry in described.values())


@given(arrays(np.float32, st.tuples(st.integers(1, 2), st.integers(0, 3000)), elements=st.floats(allow_nan=True, width=32)))
@settings(max_examples=60, deadline=None)
def test_nothing_makes_the_gate_fail(samples):
    with np.errstate(all="ignore"):
        check(finish(samples, 1000), 1000)
        check(samples, 1000)


# --- against an implementation from outside --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed: loudness and true peak are not compared with its ebur128")
@pytest.mark.parametrize("kind", KINDS)
def test_loudness_and_true_peak_agree_with_ffmpeg(music, kind, tmp_path):
    path = tmp_path / "track.wav"
    samples = music[kind] * np.float32(1.7)
    soundfile.write(path, samples.T, RATE, subtype="FLOAT")
    command = ["ffmpeg", "-hide_banner", "-nostats", "-i", str(path), "-filter_complex", "ebur128=peak=true", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280).stderr
    summary = said[said.rindex("Summary:") :]
    report = check(samples, RATE)
    assert report.loudness_lufs == pytest.approx(float(re.search(r"I:\s+(-?[\d.]+) LUFS", summary)[1]), abs=0.1)
    assert report.true_peak_dbtp == pytest.approx(float(re.search(r"Peak:\s+(-?[\d.]+) dBFS", summary)[1]), abs=0.2)
    short_term = [float(value) for value in re.findall(r"S:\s*(-?[\d.]+)", said[: said.rindex("Summary:")])]
    assert report.measures["short_term"] + report.loudness_lufs == pytest.approx(max(short_term), abs=0.2)
