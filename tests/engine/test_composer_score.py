"""What the composer writes: properties of its scores."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gridtone_engine.composer import compose
from gridtone_engine.composer.harmony import MODES, TONICS, Key
from gridtone_engine.composer.orchestra import RANGES
from gridtone_engine.composer.score import BRUSH, KICK, SHAKER, TOM, WOOD, Score
from gridtone_engine.prompt import INSTRUMENTS, Attributes

unit = st.one_of(st.none(), st.floats(0, 1))
prompts = st.builds(
    Attributes,
    tempo_bpm=st.one_of(st.none(), st.floats(30, 200)),
    key=st.one_of(st.none(), st.builds("{} {}".format, st.sampled_from(TONICS), st.sampled_from(sorted(MODES)))),
    energy=unit,
    brightness=unit,
    density=unit,
    instruments=st.lists(st.sampled_from(INSTRUMENTS), max_size=4, unique=True).map(tuple),
)
seeds = st.integers(0, 2**63)


@settings(max_examples=60, deadline=None)
@given(prompts, seeds, st.floats(5, 200))
def test_every_score_is_sound_whatever_is_asked(asked: Attributes, seed: int, seconds: float):
    score = compose(asked, seconds, seed)
    played = score.attributes

    for name in ("tempo_bpm", "key", "energy", "brightness", "density"):
        assert getattr(played, name) is not None
        assert getattr(asked, name) in (None, getattr(played, name)), f"{name} was asked for and is kept"
    assert set(asked.instruments) <= set(played.instruments)
    assert score.bars >= 2
    assert score.bars == 2 or abs(score.seconds - seconds) <= score.bar_seconds / 2 + 1e-9, "whole bars, as near as they come"
    assert sum(section.bars for section in score.sections) == score.bars
    assert {part.instrument for part in score.parts} <= set(played.instruments)

    end = score.bars * score.beats_per_bar
    for part in score.parts:
        for note in part.notes:
            assert 0 <= note.start < end
            assert note.beats > 0
            assert note.start + note.beats <= end + 1e-9
            assert 0 < note.velocity <= 1
            if part.role == "percussion":
                assert note.pitch in (KICK, BRUSH, SHAKER, TOM, WOOD)
            elif part.role not in ("bass",):
                assert RANGES[part.instrument][0] <= note.pitch <= RANGES[part.instrument][1], part


@settings(max_examples=40, deadline=None)
@given(prompts, seeds)
def test_all_notes_are_in_the_key_but_the_raised_leading_note_of_minor(asked: Attributes, seed: int):
    score = compose(asked, 90, seed)
    raised_at = [(chord.start, chord.start + chord.beats) for chord in score.chords if chord.raised]
    for part in score.parts:
        for note in part.notes if part.role != "percussion" else ():
            if note.pitch % 12 not in score.key.pitch_classes:
                assert score.key.mode == "minor"
                assert (note.pitch - score.key.tonic) % 12 == 11
                assert any(start <= note.start < end for start, end in raised_at)


@settings(max_examples=40, deadline=None)
@given(prompts, seeds)
@example(Attributes(tempo_bpm=30.0, key="C dorian"), 48572).via("every close voicing around the centre has its tenor below the bass")
def test_voices_are_led_well(asked: Attributes, seed: int):
    score = compose(asked, 120, seed)
    assert [chord.start for chord in score.chords] == pytest.approx(np.cumsum([0, *(chord.beats for chord in score.chords)])[:-1])
    leaps = []
    for before, after in pairwise(score.voices):
        outer_before, outer_after = before[-1] - before[0], after[-1] - after[0]
        together = (after[0] - before[0]) * (after[-1] - before[-1]) > 0
        assert not (together and outer_before % 12 == outer_after % 12 and outer_after % 12 in (0, 7)), "parallel fifths or octaves between the outer voices"
        leaps += [abs(new - old) for old, new in zip(before[1:], after[1:], strict=True)]
    assert np.mean(leaps) < 4, "upper voices move by small steps"
    for voices, chord in zip(score.voices, score.chords, strict=True):
        assert list(voices) == sorted(voices), "voices do not cross"
        assert {pitch % 12 for pitch in voices[1:]} <= set(chord.pitch_classes(score.key))


@settings(max_examples=30, deadline=None)
@given(prompts, seeds)
def test_the_tonic_begins_and_ends_the_piece(asked: Attributes, seed: int):
    score = compose(asked, 60, seed)
    assert score.chords[0].root == 0
    assert score.chords[-1].root == 0
    assert score.voices[-1][0] % 12 == score.key.tonic


def windows(score: Score, bars: int) -> list[tuple[frozenset[tuple[str, int, int, int]], ...]]:
    contents = score.bar_contents()
    return [tuple(contents[bar : bar + bars]) for bar in range(len(contents) - bars + 1)]


@settings(max_examples=15, deadline=None)
@given(prompts, seeds)
def test_five_minutes_never_repeat_eight_bars(asked: Attributes, seed: int):
    stretches = windows(compose(asked, 300, seed), 8)
    assert len(stretches) > 20
    assert len(set(stretches)) == len(stretches)


def test_a_repeat_would_be_found():
    contents = [frozenset({("piano", 60 + bar % 9, 0, 24)}) for bar in range(40)]
    stretches = [tuple(contents[bar : bar + 8]) for bar in range(33)]
    assert len(set(stretches)) < len(stretches)


@pytest.mark.parametrize("density", [0.0, 0.3, 0.8])
def test_no_two_seeds_share_a_bar(density: float):
    asked = Attributes(tempo_bpm=72, key="D minor", energy=0.3, brightness=0.5, density=density, instruments=("piano", "warm pad", "cello"))
    seen: dict[frozenset[tuple[str, int, int, int]], int] = {}
    for seed in range(40):
        score = compose(asked, 120, seed)
        for bar in score.bar_contents():
            assert bar, "no bar is empty"
            assert seen.setdefault(bar, seed) == seed, f"seeds {seen[bar]} and {seed} share a bar"


@settings(max_examples=20, deadline=None)
@given(prompts, seeds)
def test_a_seed_determines_the_score(asked: Attributes, seed: int):
    assert compose(asked, 45, seed) == compose(asked, 45, seed)


def test_density_and_energy_are_heard_in_the_notes():
    def onsets(density: float) -> int:
        score = compose(Attributes(density=density, energy=0.5, tempo_bpm=90, key="C major"), 90, 5)
        return len({round(note.start, 3) for part in score.parts if part.role != "percussion" for note in part.notes})

    counts = [onsets(density) for density in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert counts == sorted(counts)
    assert counts[-1] > 4 * counts[0]
    drums = [[part for part in compose(Attributes(energy=energy), 60, 1).parts if part.role == "percussion"] for energy in (0.1, 0.9)]
    assert not drums[0]
    assert drums[1]


def test_what_must_not_play_does_not_play():
    for seed in range(20):
        asked = Attributes(energy=0.9, without=("soft percussion", "piano", "warm pad", "bass"))
        assert not {"soft percussion", "piano", "warm pad", "bass"} & {part.instrument for part in compose(asked, 60, seed).parts}


def test_everything_may_be_forbidden_but_one():
    for alone in INSTRUMENTS:
        if alone in ("soft percussion", "bass"):
            continue
        asked = Attributes(instruments=(alone,), without=tuple(name for name in INSTRUMENTS if name != alone))
        assert {part.instrument for part in compose(asked, 30, 1).parts} == {alone}


@pytest.mark.parametrize(
    ("name", "key"), [("D minor", "D minor"), ("Bb major", "Bb major"), ("F# dorian", "F# dorian"), ("am", "A minor"), ("Gb ionian", "F# major")]
)
def test_keys_are_read(name: str, key: str):
    assert str(Key.parse(name)) == key


@pytest.mark.parametrize("name", ["H minor", "C sad", "", "minor C"])
def test_what_is_not_a_key_is_refused(name: str):
    with pytest.raises(ValueError, match="is not a key"):
        Key.parse(name)
