"""The lead sheet that the prior plays from."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtone_engine.composer import compose
from gridtone_engine.prompt import Attributes
from gridtone_engine.undertone.lead_sheet import CLOCK_WIDTH, SHEET_WIDTH, LeadSheet, chords_of, described_chords, read

ASKED = Attributes(tempo_bpm=60.0, key="D minor", energy=0.7, brightness=0.5, density=0.5)
NOW, BASS, NEXT = slice(CLOCK_WIDTH, CLOCK_WIDTH + 12), slice(CLOCK_WIDTH + 12, CLOCK_WIDTH + 24), slice(CLOCK_WIDTH + 24, CLOCK_WIDTH + 36)
D_MINOR = {2, 4, 5, 7, 9, 10, 0, 1}
"""With the leading note."""


def test_a_sheet_says_which_chord_sounds_and_which_comes():
    score = compose(ASKED, 30, 1)
    chords = chords_of(score)
    for chord, following in zip(score.chords, score.chords[1:], strict=False):
        told = read(np.array([chord.start, chord.start + chord.beats - 0.01]), score.beats_per_bar, chords)
        for row in told:
            assert set(np.flatnonzero(row[NOW])) == set(chord.pitch_classes(score.key))
            assert np.flatnonzero(row[BASS]).tolist() == [chord.pitch_class(score.key, chord.bass)]
            assert set(np.flatnonzero(row[NEXT])) == set(following.pitch_classes(score.key))
        assert told[1, -1] > 0.99 > told[0, -1], "how near the next one is"


def test_chords_survive_json():
    chords = chords_of(compose(ASKED, 20, 1))
    again = described_chords(chords.described())
    assert np.array_equal(again.starts, chords.starts) and np.array_equal(again.notes, chords.notes)


def test_the_clock_turns_with_the_beat_and_the_bar():
    chords = chords_of(compose(ASKED, 20, 1))
    start, half, beat, bar = read(np.array([0.0, 0.5, 1.0, 3.0]), 3, chords)[:, :CLOCK_WIDTH]
    of_the_beat = [0, 1, 2, 5, 6, 7]
    assert np.allclose(start, bar, atol=1e-6), "a bar later it stands where it stood"
    assert np.allclose(start[of_the_beat], beat[of_the_beat], atol=1e-6) and not np.allclose(start, beat, atol=0.1), "a beat later only the bar has gone on"
    assert not np.allclose(start[of_the_beat], half[of_the_beat], atol=0.1)


@given(st.floats(-50, 2000), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_sheet_has_no_end_and_stays_in_its_key(beats, seed):
    told = LeadSheet(ASKED, seed).at(beats)
    assert told.shape == (SHEET_WIDTH,) and np.isfinite(told).all()
    assert 3 <= told[NOW].sum() <= 4 and set(np.flatnonzero(told[NOW])) <= D_MINOR
    assert told[BASS].sum() == 1 and told[NEXT].sum() >= 3


def test_a_seed_writes_the_same_sheet():
    ours, again, other = LeadSheet(ASKED, 1), LeadSheet(ASKED, 1), LeadSheet(ASKED, 2)
    where = np.arange(0, 300, 4.0)
    assert all(np.array_equal(ours.at(beats), again.at(beats)) for beats in where)
    assert any(not np.array_equal(ours.at(beats)[NOW], other.at(beats)[NOW]) for beats in where)
