"""The lead sheet that the prior plays from."""

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtone_engine.composer import compose
from gridtone_engine.prompt import Attributes
from gridtone_engine.undertone.lead_sheet import (
    CLOCK_WIDTH,
    DRUMS,
    HARMONY_WIDTH,
    LINES,
    LOWEST,
    PITCHES,
    SHEET_WIDTH,
    SILENT,
    STAVES,
    WRITTEN_SECONDS,
    LeadSheet,
    beginning,
    described_sheet,
    sheet_of,
)

ASKED = Attributes(tempo_bpm=60.0, key="D minor", energy=0.7, brightness=0.5, density=0.5)
NOW, BASS, NEXT = slice(CLOCK_WIDTH, CLOCK_WIDTH + 12), slice(CLOCK_WIDTH + 12, CLOCK_WIDTH + 24), slice(CLOCK_WIDTH + 24, CLOCK_WIDTH + 36)
STRUCK, HELD = slice(HARMONY_WIDTH, HARMONY_WIDTH + LINES), slice(HARMONY_WIDTH + LINES, SHEET_WIDTH)
D_MINOR = {2, 4, 5, 7, 9, 10, 0, 1}
"""With the leading note."""


def test_a_sheet_says_which_chord_sounds_and_which_comes():
    score = compose(ASKED, 30, 1)
    sheet = sheet_of(score)
    for chord, following in zip(score.chords, score.chords[1:], strict=False):
        told = sheet.read(np.array([chord.start, chord.start + chord.beats - 0.01]))
        for row in told:
            assert set(np.flatnonzero(row[NOW])) == set(chord.pitch_classes(score.key))
            assert np.flatnonzero(row[BASS]).tolist() == [chord.pitch_class(score.key, chord.bass)]
            assert set(np.flatnonzero(row[NEXT])) == set(following.pitch_classes(score.key))
        assert told[1, HARMONY_WIDTH - 1] > 0.99 > told[0, HARMONY_WIDTH - 1], "how near the next one is"


def test_a_sheet_says_what_is_struck_and_what_is_held():
    score = compose(ASKED, 30, 1)
    sheet = sheet_of(score)
    for beat in np.arange(0.01, 28, 0.7):
        [row] = sheet.read(np.array([beat]))
        sounding = {
            LINES - len(DRUMS) + DRUMS.index(note.pitch) if part.role == "percussion" else STAVES[part.role] * PITCHES + note.pitch - LOWEST
            for part in score.parts
            for note in part.notes
            if note.start <= beat < note.start + note.beats - 1e-3
        }
        assert set(np.flatnonzero(row[HELD])) == sounding
    [part] = [part for part in score.parts if part.role == "bass"]
    first, line = part.notes[0], STAVES["bass"] * PITCHES + part.notes[0].pitch - LOWEST
    struck = sheet.read(first.start + np.array([-0.01, 0.001, 0.08, 0.4]))[:, STRUCK][:, line]
    assert struck[0] == 0 == struck[3], "neither before nor long after"
    assert np.allclose(struck[1:3], first.velocity * np.exp([-0.0125, -1.0]), atol=0.01)


def test_a_note_begins_from_the_frame_before_it_until_it_has_faded():
    struck = described_sheet({"tempo_bpm": 60.0, "bar_beats": 4, "chords": [[0, [0, 4, 7, 12]]], "notes": [[1.0, 3.0, 5, 0.5]]})
    frames = np.arange(0, 3, 0.04)
    begins = frames[:-1][beginning(struck.read(frames))]
    assert np.allclose([begins[0], begins[-1]], [0.96, 1.16]) and len(begins) == 6


def test_a_sheet_survives_json():
    sheet = sheet_of(compose(ASKED, 20, 1))
    again = described_sheet(json.loads(json.dumps(sheet.described)))
    beats = np.arange(0, 20, 0.1)
    assert np.array_equal(again.read(beats), sheet.read(beats))


def test_a_silent_sheet_says_nothing():
    assert not SILENT.read(np.arange(4.0)).any()


def test_the_clock_turns_with_the_beat_and_the_bar():
    waltz = described_sheet({"tempo_bpm": 60.0, "bar_beats": 3, "chords": [[0, [0, 4, 7, 12]]], "notes": []})
    start, half, beat, bar = waltz.read(np.array([0.0, 0.5, 1.0, 3.0]))[:, :CLOCK_WIDTH]
    of_the_beat = [0, 1, 2, 5, 6, 7]
    assert np.allclose(start, bar, atol=1e-6), "a bar later it stands where it stood"
    assert np.allclose(start[of_the_beat], beat[of_the_beat], atol=1e-6) and not np.allclose(start, beat, atol=0.1), "a beat later only the bar has gone on"
    assert not np.allclose(start[of_the_beat], half[of_the_beat], atol=0.1)


@given(st.floats(-50, 2000), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_sheet_has_no_end_and_stays_in_its_key(beats, seed):
    [told] = LeadSheet(ASKED, seed).at(np.array([beats]))
    assert told.shape == (SHEET_WIDTH,) and np.isfinite(told).all()
    assert 3 <= told[NOW].sum() <= 4 and set(np.flatnonzero(told[NOW])) <= D_MINOR
    assert told[BASS].sum() == 1 and told[NEXT].sum() >= 3


def test_a_sheet_without_end_has_neither_intro_nor_outro():
    names = [section.name for section in compose(ASKED, 120, 1, edges=False).sections]
    assert names == list("ABCDEFGH"[: len(names)])
    assert {section.name for section in compose(ASKED, 120, 1).sections} - set(names) == {"intro", "outro"}


def test_a_seed_writes_the_same_sheet():
    ours, again, other = LeadSheet(ASKED, 1), LeadSheet(ASKED, 1), LeadSheet(ASKED, 2)
    where = np.arange(0, 300, 4.0).reshape(-1, 5)
    assert all(np.array_equal(ours.at(beats), again.at(beats)) for beats in where)
    assert any(not np.array_equal(ours.at(beats)[:, NOW], other.at(beats)[:, NOW]) for beats in where)


def test_neighbouring_seeds_share_no_stretch():
    """A stock hands out one seed after the other: where one sheet goes on, the next must not begin."""

    def stretches(seed):
        sheet, found = LeadSheet(ASKED, seed), []
        for _ in range(3):
            first = sheet._end
            sheet._write(first)
            later = sheet._sheet.notes[sheet._sheet.notes[:, 0] >= first] - np.array([first, first, 0, 0])
            found.append(later.round(3).tobytes())
        return [sheet_of(compose(ASKED, WRITTEN_SECONDS, seed, edges=False)).notes.round(3).tobytes(), *found]

    every = [stretch for seed in range(4) for stretch in stretches(seed)]
    assert len(set(every)) == len(every)


def test_going_on_changes_nothing_that_was_written_and_forgets_what_is_long_past():
    sheet = LeadSheet(ASKED, 1)
    near = np.arange(112.0, 115.0, 0.25)
    before = sheet.at(near)
    sheet.at(np.array([118.0]))
    assert np.array_equal(sheet.at(near), before)
    for beats in np.arange(0, 3000, 10.0):
        sheet.at(beats + np.arange(-1, 1, 0.1))
    assert len(sheet._sheet.notes) < 4000
