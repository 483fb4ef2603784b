"""undertone as an engine: batches, cancelling, continuing, music without end. The weights are random and tiny."""

from itertools import islice

import librosa
import numpy as np
import pytest
import soundfile
from undertone_miniature import TINY, miniature, music

from gridtone_engine import Attributes, EngineError, Prompt, engine_names, open_engine
from gridtone_engine.composer import master
from gridtone_engine.undertone import Undertone, engine
from gridtone_engine.undertone.balance import Balance
from gridtone_engine.undertone.export import export_model
from gridtone_engine.undertone.synthesis import LOOK_AHEAD, levels_of, synthesised


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    list(export_model(*miniature(), "tiny", folder))
    return folder


def unlike(ours, theirs):
    """How far the spectra of two sounds differ, as a share of their size, whatever their loudness from moment to moment: tracks are levelled."""
    a, b = (levels_of(np.clip(sound, -1, 1)[None], TINY.codec) for sound in (ours, theirs))
    a, b = (levels / levels.mean(axis=-1, keepdims=True) for levels in (a, b))
    return float(np.abs(a - b).mean())


def test_without_weights_it_says_what_to_do(monkeypatch, tmp_path):
    assert "undertone" in engine_names()
    monkeypatch.setattr(engine, "SHIPPED", tmp_path / "none")
    with pytest.raises(EngineError, match=r"no weights of undertone are shipped yet.*gridtone train"):
        open_engine("undertone")
    with pytest.raises(EngineError, match="holds no weights"):
        open_engine("undertone", weights=tmp_path)


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_batch_of_different_lengths_in_the_order_asked_for(weights, runtime):
    opened = open_engine("undertone", weights=weights, runtime=runtime, batch=2)
    prompts = [Prompt("calm, 60 bpm", 2.5, seed=1), Prompt("专注", 1.0, seed=2), Prompt("", 1.5, seed=3, attributes=Attributes(key="D minor"))]
    shares = []
    made = list(opened.sample(prompts, progress=lambda at: shares.append(at.fraction)))
    assert [one.prompt for one in made] == prompts
    assert [one.samples.shape for one in made] == [(2, 80_000), (2, 32_000), (2, 48_000)]
    assert all(np.abs(one.samples).max() <= 1 and one.samples.any() for one in made)
    assert shares == sorted(shares) and shares[-1] == 1
    assert made[0].understanding.attributes.tempo_bpm == 60 and made[0].licence == "Apache-2.0" and made[0].model == "undertone tiny"


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_tracks_that_are_played_together_sound_as_they_do_alone(weights, runtime):
    prompts = [Prompt("calm, 60 bpm", 2.0, seed=1), Prompt("energetic, 140 bpm", 2.0, seed=2)]
    alone = [track for prompt in prompts for track in Undertone(weights, runtime=runtime, batch=1).sample([prompt])]
    together = list(Undertone(weights, runtime=runtime, batch=2).sample(prompts))
    for ours, theirs, other in zip(together, alone, alone[::-1], strict=True):
        assert unlike(ours.samples, theirs.samples) < 0.1 < unlike(ours.samples, other.samples)


def test_the_same_prompt_gives_the_same_samples(weights):
    prompt = Prompt("calm", 1.0, seed=4)
    first, again = (next(iter(Undertone(weights).sample([prompt]))) for _ in range(2))
    other = next(iter(Undertone(weights).sample([Prompt("calm", 1.0, seed=5)])))
    assert np.array_equal(first.samples, again.samples) and not np.array_equal(first.samples, other.samples)


def test_it_stops_soon_after_it_is_cancelled(weights):
    asked = []
    made = Undertone(weights, batch=1).sample([Prompt("calm", 30), Prompt("calm", 30)], cancelled=lambda: len(asked) >= 5 or asked.append(1) is not None)
    assert list(made) == [] and len(asked) == 5


def test_given_audio_is_continued(weights, tmp_path):
    times = np.arange(48_000) / 48_000
    soundfile.write(tmp_path / "given.wav", 0.2 * np.sin(2 * np.pi * 220 * times), 48_000)
    opened = Undertone(weights)
    primed = Prompt("120 bpm", 6.0, continue_from=tmp_path / "given.wav")
    [track] = opened.sample([primed])
    [free] = opened.sample([Prompt("120 bpm", 6.0)])
    codec = opened._model
    decoded = codec.decode(codec.encode(engine.read_stereo(tmp_path / "given.wav", 32_000)[None]))[0]
    expected = 0.1 * synthesised(decoded, codec.codec_config)  # as the track: too quiet to be clipped
    heard = 16_000 - TINY.codec.reach_frames * TINY.codec.hop % 16_000
    assert unlike(track.samples[:, :heard], expected[:, :heard]) < 0.1 < unlike(free.samples[:, :heard], expected[:, :heard])
    assert not np.allclose(track.samples[:, 32_000:], free.samples[:, 32_000:])
    with pytest.raises(EngineError, match="has to be longer"):
        list(opened.sample([Prompt("calm", 1.0, continue_from=tmp_path / "given.wav")]))
    with pytest.raises(EngineError, match=r"missing\.wav cannot be continued"):
        list(opened.sample([Prompt("calm", 1.0, continue_from=tmp_path / "missing.wav")]))


def test_the_stream_is_the_track_before_it_is_balanced_and_has_no_end(weights, monkeypatch):
    monkeypatch.setattr(master, "balance", lambda *_: None)
    monkeypatch.setattr(Balance, "tilted", lambda _, levels, brightness: levels)
    opened = Undertone(weights)
    prompt = Prompt("120 bpm", 6.0, seed=3)
    chunks = list(islice(opened.stream(prompt, chunk_seconds=0.48), 9))
    [track] = opened.sample([prompt])
    streamed = np.concatenate(chunks, axis=1)
    same = min(streamed.shape[1], track.samples.shape[1])
    assert same > 3 * 32_000
    safe = min(same, 4 * 32_000) - TINY.codec.reach_frames * TINY.codec.hop  # past it, the track's end is near
    assert unlike(streamed[:, :safe], track.samples[:, :safe]) < 0.2, "8 bits round another stretch otherwise, a little"


def test_a_stream_comes_to_the_brightness_asked_for_slowly():
    seconds, chunk = 40, 25
    sound = music(seconds) + 0.001 * np.random.default_rng(0).normal(size=(2, seconds * 32_000)).astype(np.float32)
    balance, levels = Balance(TINY.codec), levels_of(sound[None], TINY.codec)[0]
    chunks = [levels[None, start : start + chunk] for start in range(0, levels.shape[0], chunk)]
    halves = [(part, 0.3) for part in chunks[: len(chunks) // 2]] + [(part, 0.7) for part in chunks[len(chunks) // 2 :]]
    tilted = [balance.tilted(*half)[0] for half in halves]
    heard = synthesised(np.concatenate(tilted), TINY.codec).mean(axis=0)
    for wanted, second in ((0.3, 17), (0.7, seconds - 3)):
        found = librosa.feature.spectral_centroid(y=heard[second * 32_000 : (second + 2) * 32_000], sr=32_000).mean()
        assert abs(np.log2(found / master.target_centroid_hz(wanted))) < 0.25, (wanted, found)
    with np.errstate(all="ignore"):
        slopes = [np.nanmedian(np.log(part / plain[0])[:, -10:]) for part, plain in zip(tilted, chunks, strict=True)]
    assert np.abs(np.diff(slopes)).max() < 0.1, "less than a dB from one half of a second to the next"


def test_silence_has_no_brightness():
    assert not Balance(TINY.codec).tilted(np.zeros((1, 50, TINY.codec.numbers), np.float32), 0.5).any()


def test_a_track_rises_and_falls_over_a_bar_and_a_stream_rises(weights):
    prompt = Prompt("120 bpm", 8.0, seed=3)
    [track] = Undertone(weights).sample([prompt])
    bar = round(track.bar_seconds * 32_000)
    loudness = np.sqrt((track.samples**2).mean(axis=0))

    def level(first, last):
        return np.sqrt(np.mean(loudness[round(first) : round(last)] ** 2))

    full = level(bar, len(loudness) - bar)
    assert level(0, bar / 20) < 0.1 * full > level(len(loudness) - bar / 20, len(loudness))
    assert level(0, bar / 4) < level(bar / 4, bar / 2) and full > 0
    streamed = np.concatenate(list(islice(Undertone(weights).stream(prompt), 8)), axis=1)
    assert streamed[:, : bar // 20].std() < 0.2 * streamed[:, bar:].std()


def test_a_short_track_is_not_all_fade(weights):
    [track] = Undertone(weights).sample([Prompt("40 bpm", 2.0)])
    assert track.bar_seconds > 2 * 2.0 and track.samples.std() > 0.02


@pytest.mark.parametrize("option", [{"batch": 0}, {"batch": -1}, {"threads": 0}, {"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.5}, {"guidance": -1.0}])
def test_an_option_out_of_range_is_named(weights, option):
    with pytest.raises(EngineError, match=f"option {next(iter(option))} is"):
        Undertone(weights, **option)


@pytest.mark.parametrize("device", ["gpu", "cuda:7"])
def test_a_device_that_is_not_here_is_named(weights, device):
    with pytest.raises(EngineError, match=device):
        Undertone(weights, runtime="torch", device=device)


def test_what_a_changed_prompt_leaves_open_goes_on(weights):
    opened = Undertone(weights)

    def bent(seed):
        changes = iter([None, Prompt("energetic", seed=seed)])
        return np.concatenate(list(islice(opened.stream(Prompt("calm", seed=3), change=lambda: next(changes, None), chunk_seconds=0.4), 5)), axis=1)

    assert np.array_equal(bent(3), bent(8)), "the key is chosen once"


def test_the_prompt_of_a_stream_may_change_without_a_cut(weights):
    opened = Undertone(weights, guidance=4)
    calm, driven = Prompt("calm", seed=3), Prompt("energetic, 140 bpm", seed=9)
    plain = np.concatenate(list(islice(opened.stream(calm, chunk_seconds=0.4), 10)), axis=1)
    changes = iter([None, None, driven])
    bent = np.concatenate(list(islice(opened.stream(calm, change=lambda: next(changes, None), chunk_seconds=0.4), 10)), axis=1)
    before = 2 * round(0.4 * 25) * TINY.codec.hop - TINY.codec.spectrum_size - LOOK_AHEAD * TINY.codec.spectrum_hop
    assert np.array_equal(bent[:, :before], plain[:, :before]) and not np.array_equal(bent, plain)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Prompt("calm", 0.5), "makes 1 to 3600 s"),
        (Prompt("calm", 5, attributes=Attributes(key="H mol")), "not a key"),
        (Prompt("calm", 5, attributes=Attributes(instruments=("theremin",))), "theremin"),
    ],
)
def test_a_prompt_that_makes_no_sense_is_refused(weights, prompt, message):
    with pytest.raises(EngineError, match=message):
        list(Undertone(weights).sample([prompt]))


def test_options_that_contradict_are_refused(weights):
    with pytest.raises(EngineError, match="choose runtime=torch"):
        Undertone(weights, device="cuda")
    with pytest.raises(EngineError, match="onnx or torch"):
        Undertone(weights, runtime="jax")
