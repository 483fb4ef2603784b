"""The music that undertone learns from, and the truth of its captions."""

import numpy as np
import pytest

from gridtone_engine.composer.orchestra import stream
from gridtone_engine.prompt import INSTRUMENTS, Attributes, Prompt
from gridtone_engine.text import understand
from gridtone_engine.undertone import timbres
from gridtone_engine.undertone.captions import LANGUAGES, LEVELS, caption, is_held_out
from gridtone_engine.undertone.corpus import SAMPLE_RATE, SHARD_PIECES, Shards, attributes, describe, make, write_shards


def test_a_piece_is_made_from_its_number_alone():
    first, again, other = make(3, 2.0), make(3, 2.0), make(4, 2.0)
    assert np.array_equal(first.samples, again.samples) and describe(first) == describe(again)
    assert first.samples.shape == (2, 2 * SAMPLE_RATE) and first.samples.dtype == np.float32
    assert not np.array_equal(first.samples, other.samples)
    held_out = make(3, 2.0, "held_out")
    assert held_out.played != first.played
    assert make(3, 2.0, "held_out", unseen_timbres=True).family in timbres.HELD_OUT


def test_unseen_timbres_are_never_trained_on():
    with pytest.raises(ValueError, match="held-out split"):
        make(0, 2.0, unseen_timbres=True)
    assert not set(timbres.TRAINED) & set(timbres.HELD_OUT)


@pytest.mark.parametrize("family", [*timbres.TRAINED, *timbres.HELD_OUT])
def test_instruments_of_every_family_play_in_tune(family):
    """By the strongest line at the pitch or its harmonics: what FM with a strange ratio is exempt from is its harmonics, not its pitch."""
    pitch = 69
    for seed in range(2):
        for name in ("piano", "strings", "harp"):
            [*_, samples] = timbres.orchestra(family, stream(seed, "timbre"))[name].make(pitch, 2.0, SAMPLE_RATE)
            assert np.isfinite(samples).all()
            spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
            hertz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
            near = [(abs(hertz - 440 * harmonic) < 6 * harmonic) for harmonic in (0.5, 1, 2, 3, 4, 5, 6)]
            strongest = hertz[spectrum.argmax()] / 220
            assert spectrum[np.any(near, axis=0)].max() > 0.5 * spectrum.max(), (family, name, strongest)
            assert 0.005 < np.sqrt(np.mean(samples[: SAMPLE_RATE // 2] ** 2)) < 0.5, (family, name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_captions_are_true_as_gridtone_itself_reads_them(language):
    """Numbers, keys, names and negations of a caption are read back by the same reader that reads a user's prompt."""
    rng = np.random.default_rng(0)
    spoken = dict.fromkeys(("tempo_bpm", "key", "instruments", "without"), 0)
    for _ in range(300):
        played = Attributes(float(rng.uniform(40, 160)), "F# dorian", *rng.uniform(0, 1, 3).tolist(), ("piano", "cello", "warm pad"))
        text, said = caption(played, played.instruments, language, rng)
        assert set(said.instruments) <= set(played.instruments) and not set(said.without) & set(played.instruments)
        assert all(value in (None, (), getattr(played, name)) for name, value in describe_attributes(said) if name != "without" and name != "instruments")
        read = understand(Prompt(text)).attributes
        if str(round(played.tempo_bpm)) in text:
            assert read.tempo_bpm == round(played.tempo_bpm), text
            spoken["tempo_bpm"] += 1
        if said.key:
            assert read.key == "F# dorian", text
            spoken["key"] += 1
        assert set(said.instruments) <= set(read.instruments), text
        assert set(said.without) <= set(read.without), text
        spoken["instruments"] += bool(said.instruments)
        spoken["without"] += bool(said.without)
    assert min(spoken.values()) > 30


def describe_attributes(said):
    return [(name, getattr(said, name)) for name in ("tempo_bpm", "key", "energy", "brightness", "density", "instruments", "without")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_for_levels_are_read_within_their_range(language):
    for attribute, levels in LEVELS.items():
        for (low, high), *phrases in levels:
            for phrase in phrases[LANGUAGES.index(language)]:
                value = getattr(understand(Prompt(phrase)).attributes, attribute)
                assert value is not None and low - 0.02 * high <= value <= high + 0.02 * high, (phrase, attribute, value)


def test_held_out_captions_use_other_words():
    rng = np.random.default_rng(1)
    played = Attributes(60.0, "C major", 0.1, 0.2, 0.1, ("piano",))
    held = {phrase for levels in LEVELS.values() for _, *both in levels for phrases in both for phrase in phrases if is_held_out(phrase)}
    assert held
    for _ in range(100):
        text, _ = caption(played, (), "en", rng)
        assert not set(text.split(", ")) & held


@pytest.mark.slow
def test_shards_give_back_what_was_rendered(tmp_path):
    assert list(write_shards(tmp_path, 1, 0.5)) == [0, SHARD_PIECES]
    assert list(write_shards(tmp_path, SHARD_PIECES, 0.5)) == [SHARD_PIECES], "nothing is rendered twice"
    shards = Shards(tmp_path)
    piece = make(5, 0.5)
    assert len(shards) == SHARD_PIECES and shards.seconds == 0.5
    assert np.abs(shards.samples(5) - piece.samples).max() < 1e-4
    assert np.array_equal(shards.samples(5, 100, 50), shards.samples(5)[:, 100:150])
    record = shards.records()[5]
    assert record["caption"] == piece.caption and attributes(record["said"]) == piece.said and attributes(record["played"]) == piece.played
    assert list(write_shards(tmp_path / "two", 1, 0.5, processes=2)) == [0, SHARD_PIECES]
    assert np.array_equal(Shards(tmp_path / "two").samples(31), shards.samples(31)), "whoever renders it"
    with pytest.raises(ValueError, match="another corpus"):
        next(write_shards(tmp_path, 1, 0.7))
    with pytest.raises(FileNotFoundError, match="train corpus"):
        Shards(tmp_path / "nowhere")


def test_pieces_differ_in_all_their_attributes():
    from gridtone_engine.undertone.corpus import _asked

    asked = [_asked(np.random.default_rng(number)) for number in range(200)]
    for name in ("energy", "brightness", "density"):
        values = [getattr(one, name) for one in asked]
        assert np.percentile(values, 10) < 0.25 and np.percentile(values, 90) > 0.75
    assert len({one.key for one in asked}) > 40
    assert set(INSTRUMENTS) >= {name for names in timbres.HONEST_NAMES.values() for name in names}
