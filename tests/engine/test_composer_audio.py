"""What the composer renders: properties of its audio."""

import sys
from pathlib import Path

import numpy as np
import pytest

from gridtone_engine import Attributes, EngineError, Progress, Prompt, open_engine
from gridtone_engine.composer import compose, render
from gridtone_engine.composer.instruments import INSTRUMENTS as PLAYED
from gridtone_engine.composer.instruments import tone
from gridtone_engine.composer.orchestra import RANGES
from gridtone_engine.composer.score import BRUSH, KICK, SHAKER, TOM, WOOD
from gridtone_engine.prompt import INSTRUMENTS

RATE = 48_000
MOODS = {
    "calm": Attributes(tempo_bpm=60, key="D dorian", energy=0.1, brightness=0.3),
    "steady": Attributes(tempo_bpm=88, key="F major", energy=0.5, brightness=0.5),
    "alert": Attributes(tempo_bpm=124, key="C# minor", energy=0.95, brightness=0.8),
}


@pytest.fixture(scope="module", params=MOODS)
def rendered(request: pytest.FixtureRequest):
    score = compose(MOODS[request.param], 40, 11)
    return score, render(score, RATE)


def test_audio_is_whole(rendered):
    score, samples = rendered
    assert samples.dtype == np.float32
    assert samples.shape == (2, round(score.bars * score.bar_seconds * RATE))
    assert np.isfinite(samples).all()
    assert 0.05 < np.abs(samples).max() <= 0.7
    assert np.abs(samples.mean(axis=1)).max() < 1e-3, "no DC"
    assert np.abs(samples[:, :100]).max() < 1e-3
    assert np.abs(samples[:, -100:]).max() < 1e-3


def test_audio_is_stereo_but_not_lopsided(rendered):
    _, samples = rendered
    left, right = np.sqrt(np.mean(samples**2, axis=1))
    assert abs(20 * np.log10(left / right)) < 3
    assert 0.2 < np.corrcoef(samples)[0, 1] < 0.99


def test_audio_never_stops_and_never_startles(rendered):
    score, samples = rendered
    bar = int(score.bar_seconds * RATE)
    tenth = RATE // 10
    body = samples[:, bar : samples.shape[1] - bar]
    level = 10 * np.log10((body[:, : body.shape[1] // tenth * tenth].reshape(2, -1, tenth) ** 2).mean(axis=(0, 2)) + 1e-12)
    assert level.min() > level.mean() - 20, "no dead air"
    three_seconds = np.convolve(10 ** (level / 10), np.ones(30) / 30, "valid")
    assert 10 * np.log10(three_seconds.max() / three_seconds.mean()) < 3
    jumps = np.abs(np.diff(samples, n=3))
    assert jumps.max() < 0.15, "no clicks"


def test_a_click_would_be_found(rendered):
    _, samples = rendered
    broken = samples.copy()
    broken[:, samples.shape[1] // 2 :] += 0.1
    assert np.abs(np.diff(broken, n=3)).max() > 0.15


def test_the_same_seed_gives_the_same_bytes():
    score = compose(MOODS["steady"], 12, 4)
    assert render(score, RATE).tobytes() == render(compose(MOODS["steady"], 12, 4), RATE).tobytes()
    assert render(score, RATE).tobytes() != render(compose(MOODS["steady"], 12, 5), RATE).tobytes()


def fundamental_hz(samples: np.ndarray, near_hz: float) -> float:
    """Stiff low strings have a fundamental some 15 cents flat of the pitch that is heard.

    By the spectrum's peak within a semitone and a half of `near_hz`, refined by a parabola through the logarithm."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 2**18))
    low, high = (int(near_hz * 2 ** (offset / 12) * 2**18 / RATE) for offset in (-1.5, 1.5))
    peak = low + int(spectrum[low:high].argmax())
    before, at, after = np.log(spectrum[peak - 1 : peak + 2])
    return (peak + 0.5 * (before - after) / (before - 2 * at + after)) * RATE / 2**18


@pytest.mark.parametrize("name", RANGES)
def test_every_instrument_plays_the_note_it_is_given(name: str):
    low, high, _ = RANGES[name]
    for pitch in range(low, high + 1, 5):
        wanted = 440 * 2 ** ((pitch - 69) / 12)
        played = tone(PLAYED[name], pitch, 2.0, 0.5, RATE)
        assert played.dtype == np.float32
        middle = played.mean(axis=0)[int(0.1 * RATE) : int(1.5 * RATE)].astype(np.float64)
        cents = 1200 * np.log2(fundamental_hz(middle, wanted) / wanted)
        assert abs(cents) < 20, f"{name} at {pitch} is {cents:.0f} cents off"
        share = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
        frequencies = np.fft.rfftfreq(len(middle), 1 / RATE)
        lowest = share[frequencies < 0.7 * wanted].sum() / share.sum()
        assert lowest < 0.2, f"{name} at {pitch} sounds below its note"


@pytest.mark.parametrize("pitch", [KICK, BRUSH, SHAKER, TOM, WOOD])
def test_percussion_is_soft_and_short(pitch: int):
    hit = tone(PLAYED["soft percussion"], pitch, 0.5, 0.5, RATE)[0]
    assert 0.01 < np.abs(hit).max() < 0.7
    assert np.abs(hit[-50:]).max() < 1e-3
    assert np.abs(hit[:5]).max() < 0.05, "it does not begin with a step"


@pytest.mark.parametrize("name", [name for name in INSTRUMENTS if name != "bass"])
def test_every_instrument_that_is_named_is_heard(name: str):
    """The track with the instrument differs from the one of the same score without it."""
    score = compose(Attributes(energy=0.5, instruments=(name,)), 30, 2)
    parts = [part for part in score.parts if part.instrument == name]
    assert sum(len(part.notes) for part in parts) >= 8


@pytest.mark.parametrize("name", MOODS)
def test_the_beat_stands_where_the_track_says(name: str):
    """Onset strength, folded at the beat that the rendition states, is highest on the beat: the tempo is true to the end of the track."""
    score = compose(MOODS[name], 60, 3)
    mono = render(score, RATE).mean(axis=0)
    hop = 480
    spectra = np.abs(np.fft.rfft(np.lib.stride_tricks.sliding_window_view(mono, 2048)[::hop] * np.hanning(2048)))
    flux = np.maximum(np.diff(np.log1p(100 * spectra), axis=0), 0).sum(axis=1)
    times = (np.arange(len(flux)) + 1) * hop / RATE + 1024 / RATE
    phase = times / (60 / score.tempo_bpm) % 1
    half = len(flux) // 2
    for part in (slice(0, half), slice(half, None)):
        on_beat = flux[part][np.minimum(phase[part], 1 - phase[part]) < 0.08].mean()
        off_beat = flux[part][np.abs(phase[part] - 0.37) < 0.08].mean()
        assert on_beat > 1.15 * off_beat


def test_renditions_say_what_was_played():
    composer = open_engine("composer", sample_rate=44_100)
    heard: list[Progress] = []
    prompts = [Prompt("calm piano in D minor, 60 bpm", 16, 1), Prompt("专注、沉稳、有节奏", 16, 2)]
    first, second = composer.sample(prompts, progress=heard.append)
    assert (first.sample_rate, first.engine, first.first_bar_seconds) == (44_100, "composer", 0.0)
    assert first.attributes.tempo_bpm == 60
    assert first.attributes.key == "D minor"
    assert "piano" in first.attributes.instruments
    assert first.bar_seconds == (4.0 if first.samples.shape[1] % (4 * 44_100) == 0 else 3.0)
    bars = second.seconds / second.bar_seconds
    assert abs(bars - round(bars)) < 1e-4, "a whole number of bars"
    assert [step.fraction for step in heard] == sorted(step.fraction for step in heard)
    assert heard[-1].fraction == 1.0
    assert heard[-1].step == "rendering track 2 of 2"


def test_a_batch_can_be_cancelled_between_and_within_tracks():
    composer = open_engine("composer")
    prompts = [Prompt("", 30, seed) for seed in range(3)]
    calls = iter([False] * 1000)
    renditions = composer.sample(prompts, cancelled=lambda: next(calls, True))
    next(renditions)
    calls = iter(())
    assert list(renditions) == []
    asked = 0

    def after_a_few_tones() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    assert list(composer.sample(prompts, cancelled=after_a_few_tones)) == []
    assert asked == 6, "it stops at once"


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt("", 1.0), "5 to 3600 s"),
        (Prompt("", float("nan")), "5 to 3600 s"),
        (Prompt("", 20, attributes=Attributes(tempo_bpm=500)), "30 to 200"),
        (Prompt("", 20, attributes=Attributes(key="H sharp")), "is not a key"),
        (Prompt("", 20, attributes=Attributes(energy=1.5)), "0 to 1"),
        (Prompt("", 20, attributes=Attributes(instruments=("kazoo",))), "kazoo"),
        (Prompt("", 20, attributes=Attributes(without=tuple(INSTRUMENTS))), "forbidden"),
    ],
)
def test_a_prompt_that_makes_no_sense_is_refused_in_words(prompt: Prompt, message: str):
    with pytest.raises(EngineError, match=message):
        list(open_engine("composer").sample([prompt]))


def test_a_sample_rate_that_nobody_plays_is_refused():
    with pytest.raises(EngineError, match="44100 or 48000"):
        open_engine("composer", sample_rate=8000)


@pytest.mark.slow
def test_the_music_follows_its_prompt_in_other_peoples_ears():
    """A small run of tests/benchmarks/bench_composer_follows.py, against the same prompts shuffled."""
    sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
    bench = pytest.importorskip("bench_composer_follows", reason="needs librosa and basic-pitch")
    results = bench.measure([bench.ask(number) for number in range(16)])
    followed, control = bench.figures(results), bench.figures(results, shift=7)
    for name, least in (("tempo within 4 %, octaves apart", 0.75), ("key, by basic-pitch's notes", 0.75)):
        assert followed[name] >= least
        assert followed[name] >= control[name] + 0.4
    for name in ("onset density ~ density played (Spearman)", "centroid ~ brightness (Spearman)"):
        assert followed[name] >= 0.8
