"""The conductor: one cue a change, nothing flaps, silence only by the rules."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gridtone.conductor import Candidate, Conductor, ConductorSettings, choose, key_distance
from gridtone.cue import Cue
from gridtone.library.errors import LibraryError
from gridtone.library.track import Track
from gridtone.rules.standing import NO_DATA, Standing

SILENT_START = Cue(0, 0.0, "silence", NO_DATA, {"en": "starting"})


def track(name: str, state: str, **facts: object) -> Track:
    defaults: dict[str, object] = {
        "text": "calm",
        "seconds": 180.0,
        "sample_rate": 48000,
        "tempo_bpm": 60.0,
        "key": "C major",
        "energy": 0.3,
        "bar_seconds": 4.0,
        "first_bar_seconds": 0.0,
        "loudness_lufs": -23.0,
        "true_peak_dbtp": -6.0,
        "engine": "composer",
        "model": "composer 1",
        "seed": 1,
        "licence": "CC0-1.0",
        "created": 0.0,
    }
    return Track(id=name, state=state, **{**defaults, **facts})  # type: ignore[arg-type]


def standing(state: str, severity: str = "normal", silent: bool = False) -> Standing:
    return Standing(state, {"en": state}, severity, 0.0, f"{state} > 1", {"en": f"{state} holds", "zh": state}, silent)


class Room:
    """A conductor with tracks on a shelf."""

    def __init__(self, *tracks: Track, **settings: float) -> None:
        self.shelf = list(tracks)
        self.readable = True
        self.conductor = Conductor(
            ConductorSettings(**settings),
            self.candidates,
            lambda _: sorted({found.state for found in self.shelf}),
            SILENT_START,
        )

    def candidates(self, state: str) -> list[Candidate]:
        if not self.readable:
            raise LibraryError("the library cannot be read")
        return [Candidate(found, found.plays == 0) for found in self.shelf if found.state == state]

    def follow(self, state: str, now: float, severity: str = "normal", silent: bool = False) -> Cue | None:
        return self.conductor.follow(standing(state, severity, silent), now)


def test_a_change_of_state_plays_a_track_of_that_state_at_the_next_bar():
    room = Room(track("d", "day"), track("n", "night"))
    first = room.follow("day", 100.0)
    assert first and first.track and first.track.id == "d" and first.time == 100.0
    assert room.follow("day", 101.0) is None
    second = room.follow("night", 130.5)
    assert second and second.track and second.track.id == "n"
    assert second.time == 132.0, "bars of four seconds since 100.0"
    assert second.id == first.id + 1


def test_an_escalation_does_not_wait_for_dwell_or_bar():
    room = Room(track("d", "day"), track("e", "emergency"))
    room.follow("day", 100.0)
    cue = room.follow("emergency", 101.5, "emergency")
    assert cue and cue.time == 101.5 and cue.crossfade_seconds == ConductorSettings().urgent_crossfade_seconds


def test_a_flapping_grid_does_not_flap_the_music():
    room = Room(track("d", "day"), track("a", "alert"), dwell_seconds=20)
    room.follow("day", 0.0)
    cues = [cue for second in range(1, 120) if (cue := room.follow(*(("alert", second, "alert") if second % 2 else ("day", second))))]
    assert len(cues) <= 2 * math.ceil(120 / 20)


def test_the_successor_is_announced_before_the_end_and_starts_with_the_crossfade():
    room = Room(track("1", "day", seconds=100.0), track("2", "day", seconds=100.0))
    first = room.follow("day", 0.0)
    assert first and first.track and first.upcoming and first.upcoming.id != first.track.id
    assert room.follow("day", 85.0) is None
    second = room.follow("day", 86.1)
    assert second and second.track and second.track.id == first.upcoming.id
    assert second.time == 96.0


@given(
    st.lists(st.floats(10, 60), min_size=1, max_size=4),
    st.floats(0.05, 30),
    st.floats(0.05, 30),
    st.floats(1, 60),
)
@example([10.0], 12.0, 5.0, 10.0)
@example([10.0], 20.0, 5.0, 30.0)
def test_short_tracks_play_most_of_their_length_whatever_is_set(lengths, crossfade_seconds, fade_in_seconds, lead_seconds):
    shelf = [track(str(number), "day", seconds=seconds) for number, seconds in enumerate(lengths)]
    room = Room(*shelf, crossfade_seconds=crossfade_seconds, fade_in_seconds=fade_in_seconds, lead_seconds=lead_seconds)
    cues = [cue for tick in range(240) if (cue := room.follow("day", tick / 4))]
    for cue in cues:
        assert cue.track and cue.crossfade_seconds <= cue.track.seconds / 3 + 1e-9
    for one, other in pairwise(cues):
        assert one.track and other.time - one.time >= one.track.seconds * 2 / 3 - 1e-9
        assert other.crossfade_seconds <= one.track.seconds / 3 + 1e-9, "it fades as long as there is something to fade from"


def test_after_a_long_pause_the_next_track_starts_at_once():
    room = Room(track("1", "day", seconds=100.0), track("2", "day"))
    room.follow("day", 0.0)
    cue = room.follow("day", 5000.0)
    assert cue and cue.time == 5000.0


def test_silence_is_at_once_and_once():
    room = Room(track("d", "day"))
    room.follow("day", 0.0)
    cue = room.follow(NO_DATA, 1.0, "unknown", silent=True)
    assert cue and cue.action == "silence" and cue.track is None and cue.time == 1.0
    assert room.follow(NO_DATA, 2.0, "unknown", silent=True) is None
    back = room.follow("day", 3.0)
    assert back and back.action == "play"


def test_a_state_without_tracks_borrows_one_says_so_and_returns_to_its_own():
    room = Room(track("d", "day"))
    cue = room.follow("alert", 0.0, "alert")
    assert cue and cue.track and cue.track.state == "day" and "no track for this state" in cue.reason["en"]
    assert room.follow("alert", 1.0, "alert") is None
    room.shelf.append(track("a", "alert"))
    cue = room.follow("alert", 2.0, "alert")
    assert cue and cue.track and cue.track.id == "a"


def test_an_empty_library_is_silent_until_the_first_track_is_made():
    room = Room()
    cue = room.follow("day", 0.0)
    assert cue and cue.action == "silence" and "No track is ready yet" in cue.reason["en"]
    assert room.follow("day", 1.0) is None
    room.shelf.append(track("d", "day"))
    cue = room.follow("day", 2.0)
    assert cue and cue.track and cue.time == 2.0


def test_a_shelf_that_cannot_be_read_is_silence_at_once_and_never_the_last_mood():
    room = Room(track("d", "day"), track("e", "emergency"), dwell_seconds=600)
    room.follow("day", 100.0)
    room.readable = False
    assert room.follow("day", 101.0) is None, "what plays fits the grid"
    cue = room.follow("emergency", 102.0, "emergency")
    assert cue and cue.action == "silence" and cue.time == 102.0 and "cannot be read" in cue.reason["en"]
    assert [room.follow("emergency", 102.0 + tick, "emergency") for tick in (0.25, 0.5, 30)] == [None] * 3
    room.readable = True
    cue = room.follow("emergency", 133.0, "emergency")
    assert cue and cue.track and cue.track.id == "e" and cue.time == 133.0


def test_a_shelf_that_cannot_be_read_for_a_moment_costs_nothing_while_a_track_plays():
    room = Room(track("1", "day", seconds=100.0), track("2", "day", seconds=100.0))
    room.follow("day", 0.0)
    room.readable = False
    assert [room.follow("day", now) for now in (86.1, 90.0, 95.9)] == [None] * 3
    room.readable = True
    cue = room.follow("day", 95.95)
    assert cue and cue.track and cue.time == 96.0
    room.readable = False
    cue = room.follow("day", 193.0)
    assert cue and cue.action == "silence", "it has ended, and nobody knows what to play next"


def test_a_state_that_becomes_graver_is_left_as_one_so_grave():
    room = Room(track("d", "day"), track("a", "alert"), dwell_seconds=20)
    room.follow("day", 0.0)
    assert room.follow("day", 1.0, "emergency") is None, "its track goes on"
    assert room.follow("alert", 2.0, "alert") is None, "no escalation: it waits for the dwell"
    cue = room.follow("alert", 20.0, "alert")
    assert cue and cue.track and cue.track.id == "a"


def test_the_best_track_is_fresh_unheard_and_near_in_key_and_tempo():
    previous = track("p", "day", key="C major")
    near, far = track("near", "day", key="A minor"), track("far", "day", key="F# major")
    assert choose([Candidate(far, True), Candidate(near, True)], previous) == near
    heard = replace(near, last_played=5.0)
    assert choose([Candidate(far, True), Candidate(heard, True)], previous) == far
    assert choose([Candidate(near, False), Candidate(far, True)], previous) == far
    assert choose([Candidate(previous, True), Candidate(far, False)], previous) == far
    assert choose([], previous) is None


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("C major", "A minor", 0),
        ("C major", "D dorian", 0),
        ("C major", "G major", 1),
        ("C major", "F# major", 6),
        ("Bb major", "G minor", 0),
        ("C major", "C minor", 3),
        ("C major", None, 3),
    ],
)
def test_key_distance_counts_fifths(one, other, distance):
    assert key_distance(one, other) == distance


STATES = {"day": "normal", "night": "normal", "alert": "alert", "emergency": "emergency"}


@given(st.lists(st.tuples(st.sampled_from([*STATES, NO_DATA]), st.floats(0.1, 200)), max_size=60))
def test_cues_are_numbered_never_in_the_past_and_silent_only_by_the_rules(steps):
    room = Room(*(track(f"{state}{number}", state, seconds=60.0) for state in STATES for number in range(2)))
    now, last = 0.0, SILENT_START
    for state, wait in steps:
        now += wait
        cue = room.follow(state, now, STATES.get(state, "unknown"), silent=state == NO_DATA)
        if cue:
            assert cue.id == last.id + 1 and cue.time >= now
            assert (cue.action == "silence") == (state == NO_DATA)
            last = cue
        assert (room.conductor.cue.action == "silence") == (state == NO_DATA)
