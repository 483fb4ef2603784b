"""The room audit: margins that can be worked out by hand, and the command as a safety officer uses it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from scipy.signal import butter, sosfilt

from gridtone.cli import main
from gridtone.gate.limits import GateLimits
from gridtone.library.audio import encode_flac
from gridtone.library.library import Library
from gridtone.library.settings import LibrarySettings
from gridtone.library.track import Track
from gridtone.room.audit import Margin, Settings, audit, noise_level_db
from gridtone.room.audit_bands import OCTAVES_HZ, THIRD_CENTRES, THIRD_EDGES, a_weighting, db, hear_alarm, octaves_of, over_time, whole
from gridtone.room.audit_examples import calibration_noise, write_examples
from gridtone.room.audit_inputs import Levels, Sound, Tracks, pack_tracks
from gridtone.room.settings import RoomSettings
from gridtone.rules import load_pack, pack_names

RATE = 48_000


def tone(hz: float, level_db: float, seconds: float = 4.0, rate: int = RATE) -> np.ndarray:
    """Mono; the level is that of its mean square."""
    return (np.sqrt(2) * 10 ** (level_db / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def sound(samples: np.ndarray, name: str = "alarm.wav", rate: int = RATE, state: str = "") -> Sound:
    return Sound(name, np.repeat(samples[None], 2, axis=0) if samples.ndim == 1 else samples, rate, "0" * 64, state)


def margin(alarm: Sound, music: Sound, levels: Levels | None = None, **settings: float) -> Margin:
    def sounds() -> Iterator[Sound]:
        yield music

    found, _ = audit([alarm], Tracks("here", 1, sounds), levels, Settings(**settings))
    [only] = found.margins
    assert found.masked == ([alarm.name] if only.masked else [])
    return only


@pytest.mark.parametrize(
    ("hz", "expected_db"), [(31.5, -39.4), (63, -26.2), (125, -16.1), (250, -8.6), (500, -3.2), (1000, 0), (2000, 1.2), (4000, 1), (8000, -1.1)]
)
def test_the_a_weighting_is_the_standards(hz: float, expected_db: float):
    """IEC 61672-1, table 3: nominal frequencies stand for the exact ones, 10^(n/10)."""
    exact = 10 ** (round(10 * np.log10(hz)) / 10)
    assert 20 * np.log10(a_weighting(np.array([exact])))[0] == pytest.approx(expected_db, abs=0.07)


def test_bands_agree_with_a_bank_of_filters():
    """Butterworth filters of sixth order over the same edges, on noise that is not the audit's own."""
    noise = np.random.default_rng(3).standard_normal((2, 20 * RATE)).astype(np.float32) * 0.1
    ours, over = whole(noise, RATE).thirds, over_time(noise, RATE).thirds.mean(axis=0)
    for band in range(2, 24):
        bank = butter(6, THIRD_EDGES[band : band + 2], "bandpass", output="sos", fs=RATE)
        filtered = db(float(np.square(sosfilt(bank, noise, axis=1)).mean(axis=1).sum()))
        assert db(ours[band]) == pytest.approx(filtered, abs=0.3), THIRD_CENTRES[band]
        assert db(over[band]) == pytest.approx(filtered, abs=0.5), THIRD_CENTRES[band]


@pytest.mark.parametrize("hz", [250, 500, 1000, 2000, 4000])
@pytest.mark.parametrize(("above_db", "masked"), [(12.0, False), (10.2, False), (9.8, True), (8.0, True)])
def test_a_tone_over_a_tone(hz: int, above_db: float, masked: bool):
    found = margin(sound(tone(hz, -40 + above_db)), sound(tone(hz * 1.05, -40, 20)))
    assert found.octave_db == pytest.approx(above_db, abs=0.15)
    assert (found.masked, found.octave_hz) == (masked, hz)


@pytest.mark.parametrize("alarm_rate", [8000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("music_rate", [44_100, 48_000])
def test_the_sample_rates_do_not_matter(alarm_rate: int, music_rate: int):
    found = margin(sound(tone(1000, -28, rate=alarm_rate), rate=alarm_rate), sound(tone(1050, -40, 20, music_rate), rate=music_rate))
    assert found.octave_db == pytest.approx(12, abs=0.15)


def test_broadband_noise_masks_with_what_falls_into_the_octave():
    """White noise has a share of its power in an octave that is the octave's share of the frequencies."""
    noise = np.random.default_rng(0).standard_normal(60 * RATE).astype(np.float32) * np.float32(10 ** (-30 / 20))
    in_octave = -30 + 10 * np.log10((THIRD_EDGES[15] - THIRD_EDGES[12]) / (RATE / 2))
    assert margin(sound(tone(1000, in_octave + 12)), sound(noise), percentile=50).octave_db == pytest.approx(12, abs=0.3)
    at_worst = margin(sound(tone(1000, in_octave + 10.5)), sound(noise))
    assert at_worst.masked and 8.5 < at_worst.octave_db < 10, "noise fluctuates: its loudest hundredth stands about 1 dB above its mean"


def test_a_tone_of_the_alarm_beside_loud_music_passes_by_its_own_octave():
    both = tone(500, -40) + tone(2000, -40)
    found = margin(sound(both), sound(tone(530, -35, 20)))
    assert not found.masked and found.octave_hz == 2000
    assert found.octaves_db[OCTAVES_HZ.index(500)] == pytest.approx(-5, abs=0.15)
    assert found.octave_db == pytest.approx(10, abs=0.15), "two octaves above the music: 15 dB of spread, less 5"


def test_low_sounds_mask_higher_ones_as_the_standard_says():
    one_above = margin(sound(tone(1000, -40)), sound(tone(500, -40, 20)))
    assert one_above.octaves_db[OCTAVES_HZ.index(1000)] == pytest.approx(7.5, abs=0.15)
    assert margin(sound(tone(500, -40)), sound(tone(1000, -40, 20))).octave_db == 99, "nothing spreads downwards"
    three_thirds_above = margin(sound(tone(1000, -40)), sound(tone(500, -40, 20)))
    assert three_thirds_above.third_db == pytest.approx(7.5, abs=0.15)


def test_what_nobody_hears_of_an_alarm_cannot_save_it():
    """A trace of 4 kHz stands far above music that has nothing there."""
    found = margin(sound(tone(500, -40) + tone(4000, -65)), sound(tone(530, -45, 20)))
    assert found.octaves_db[OCTAVES_HZ.index(4000)] > 0
    assert found.masked and found.octave_hz == 500


@pytest.mark.parametrize("hz", [63, 125, 8000])
def test_octaves_outside_those_of_signals_do_not_count(hz: int):
    assert margin(sound(tone(hz, -20)), sound(tone(1000, -60, 20))).masked


def test_pauses_of_an_alarm_do_not_count_even_where_the_room_is_heard_in_them():
    pulsed = tone(1000, -28, 10)
    pulsed[np.arange(len(pulsed)) % RATE > 0.1 * RATE] = 0
    room = np.random.default_rng(0).standard_normal(len(pulsed)).astype(np.float32) * np.float32(10 ** (-50 / 20))
    music = sound(tone(1050, -40, 20))
    assert margin(sound(pulsed), music).octave_db == pytest.approx(12, abs=0.6)
    assert margin(sound(pulsed + room), music).octave_db == pytest.approx(12, abs=0.6)
    heard = hear_alarm(sound(pulsed).samples, RATE)
    assert heard.on_seconds == pytest.approx(1.0, abs=0.3)


def test_short_loud_music_counts_by_the_percentile():
    music = tone(1050, -40, 100)
    music[: 3 * RATE] *= 10  # 3 % of the time, 20 dB louder
    alarm = sound(tone(1000, -25))
    assert margin(alarm, sound(music), percentile=95).octave_db == pytest.approx(15, abs=0.2)
    assert margin(alarm, sound(music), percentile=99).octave_db == pytest.approx(-5, abs=0.2)
    assert margin(alarm, sound(music), percentile=99).masked


@pytest.fixture(scope="module")
def steady_music() -> Sound:
    """At -23 LUFS: a tone of 1 kHz, whose K-weighting is 0.7 dB."""
    return sound(tone(1000, -26.0, 20), "music.wav", state="day")


def test_measured_levels_put_both_into_the_room(steady_music: Sound):
    """60 dB(A) at most, fast, against music at 40 dB(A): whatever the files' own gains are."""
    noise_dba = noise_level_db()
    music_dba = 40 - (float(db(float(whole(steady_music.samples, RATE).weighted))) - noise_dba)
    levels = Levels(music_dba=music_dba, alarms={"alarm.wav": 60})
    for gain_db in (-50, -20, -4):
        found = margin(sound(tone(1000, gain_db)), steady_music, levels)
        assert found.octave_db == pytest.approx(20, abs=0.15)
        assert found.weighted_db == pytest.approx(20, abs=0.15)
    assert margin(sound(tone(1000, -20)), steady_music, levels.model_copy(update={"music_dba": music_dba + 6})).octave_db == pytest.approx(14, abs=0.15)


@pytest.mark.parametrize(("background", "expected_db"), [({1000: 60.0}, -0.04), ({1000: 50.0}, 9.6), ({63: 30.0}, 20.0), (None, 20.0)])
def test_the_room_itself_masks_too(steady_music: Sound, background: dict | None, expected_db: float):
    noise_dba = noise_level_db()
    music_dba = 40 - (float(db(float(whole(steady_music.samples, RATE).weighted))) - noise_dba)
    levels = Levels(music_dba=music_dba, alarms={"alarm.wav": 60}, background=background)
    assert margin(sound(tone(1000, -20)), steady_music, levels).octave_db == pytest.approx(expected_db, abs=0.15)


def test_a_background_in_dba_is_pink_noise():
    levels = Levels(music_dba=0, alarms={"alarm.wav": 60}, background=50)
    in_octave = octaves_of(whole(calibration_noise(), RATE).thirds)
    pink_db = 50 + float(db(in_octave[4])) - noise_level_db()
    assert margin(sound(tone(1000, -20)), sound(tone(1000, -60, 20)), levels).octave_db == pytest.approx(60 - pink_db, abs=0.2)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of one alarm, levels and two tracks: the alarm stands 12 dB above `calm`, 8 dB above `loud`, in the files and in the room."""
    (tmp_path / "alarms").mkdir()
    (tmp_path / "tracks").mkdir()
    soundfile.write(tmp_path / "alarms/beep.wav", tone(1000, -28), RATE)
    for name, level in (("calm", -40), ("loud", -36)):
        music = np.repeat(tone(1050, level, 15)[None], 2, axis=0)
        (tmp_path / f"tracks/{name}.flac").write_bytes(encode_flac(music, RATE, 16, {"comment": f"state {name}_state, seed 1"}))
    return tmp_path


def run(place: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["room", "audit", "-o", str(place / "report.html"), *arguments])


def run_files(place: Path, *arguments: str) -> Result:
    """Alarms and tracks are played by one system."""
    return run(place, "--one-system", "0", *arguments)


def test_a_masked_alarm_is_exit_code_1_and_says_where(place: Path):
    result = run_files(place, str(place / "alarms"), "--tracks", str(place / "tracks"), "--json", str(place / "report.json"), "--site", "Control room <1>")
    assert result.exit_code == 1, result.output
    assert "MASKED  beep.wav: 8.0 dB in the 1000 Hz octave over loud_state (loud.flac); needed 10" in result.output
    found = json.loads((place / "report.json").read_text())
    assert not found["passed"] and found["masked"] == ["beep.wav"]
    assert {margin["state"]: round(margin["octave_db"]) for margin in found["margins"]} == {"calm_state": 12, "loud_state": 8}
    page = (place / "report.html").read_text()
    assert "Alarms that the music masks: beep.wav" in page and "Control room &lt;1&gt;" in page
    for file in found["alarms"] + found["tracks"]:
        assert file["sha256"] in page


def test_where_every_alarm_stands_out_it_is_exit_code_0(place: Path):
    (place / "tracks/loud.flac").unlink()
    result = run_files(place, str(place / "alarms/beep.wav"), "--tracks", str(place / "tracks"))
    assert result.exit_code == 0, result.output
    assert "No alarm is masked" in (place / "report.html").read_text()
    assert run_files(place, str(place / "alarms/beep.wav"), "--tracks", str(place / "tracks"), "--margin", "13").exit_code == 1


def test_music_that_one_system_turns_down_masks_so_much_less(place: Path):
    files = (str(place / "alarms"), "--tracks", str(place / "tracks"))
    turned_down = run(place, "--one-system", "-3", *files)
    assert turned_down.exit_code == 0 and "11.0 dB in the 1000 Hz octave over loud_state" in turned_down.output
    assert "turned down by 3 dB" in (place / "report.html").read_text()
    assert run(place, "--one-system", "-1", *files).exit_code == 1


def test_where_nobody_measured_the_recordings_own_levels_say_nothing_and_the_report_is_not_to_be_signed(place: Path):
    told = []
    for gain_db in (-6.0, -34.0):
        soundfile.write(place / "alarms/beep.wav", tone(1000, gain_db), RATE)
        result = run(place, str(place / "alarms"), "--tracks", str(place / "tracks"), "--json", str(place / "report.json"))
        assert "nobody measured: alarms are taken for 65 dB(A), music for 45, the room for 40" in result.output
        found, page = json.loads((place / "report.json").read_text()), (place / "report.html").read_text()
        assert found["levels"]["alarms"] == {"beep.wav": 65} and found["levels_measured"] is False
        assert "Nobody measured" in page and "(at assumed levels)" in page and "Signatures" not in page
        told.append(found)
    assert told[0]["least_dba"]["beep.wav"] == pytest.approx(told[1]["least_dba"]["beep.wav"], abs=0.05)
    (place / "levels.yaml").write_text(f"music_dba: 45\nbackground: 40\nalarms: {{beep.wav: {told[0]['least_dba']['beep.wav'] + 0.05:.3f}}}\n")
    measured = run(place, str(place / "alarms"), "--tracks", str(place / "tracks"), "--levels", str(place / "levels.yaml"))
    assert measured.exit_code == 0 and re.search(r"10\.[01] dB in the", measured.output), measured.output
    page = (place / "report.html").read_text()
    assert "Signatures" in page and "assumed" not in page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_needs_nothing_beside_itself(place: Path, language: str):
    levels = place / "levels.yaml"
    levels.write_text("music_dba: 45\nbackground: {500: 30, 1000: 28}\nalarms: {beep.wav: 64}\n")
    run(place, str(place / "alarms"), "--tracks", str(place / "tracks"), "--levels", str(levels), "--language", language)
    page = (place / "report.html").read_text()
    assert not re.search(r"<script|<link|<img|@import|url\((?!#)|(src|href)=", page)
    assert page.count("<svg") == 2
    assert ("控制室审核" in page) == (language == "zh")
    assert ("Quieter than 65 dB(A)" in page) == (language == "en")
    assert "None" not in page and "{" not in page.partition("</style>")[2]


def test_both_languages_say_the_same_things():
    from ruamel.yaml import YAML

    import gridtone.room

    words = YAML(typ="safe").load(Path(gridtone.room.__file__).with_name("audit.words.yaml"))
    english, chinese = words["en"], words["zh"]
    assert english.keys() == chinese.keys()
    for key in english:
        said = [sorted(re.findall(r"\{(\w+)", str(text[key]))) for text in (english, chinese)]
        assert said[0] == said[1], key


def test_the_mix_has_alarm_and_music_at_the_rooms_levels(place: Path):
    run_files(place, str(place / "alarms"), "--tracks", str(place / "tracks"), "--mixes", str(place / "mixes"))
    mixed, rate = soundfile.read(place / "mixes/beep over loud_state.wav")
    alone, both = (db(whole(part.T.astype(np.float32), rate).thirds[13]) for part in (mixed[: int(2.9 * rate)], mixed[int(3.2 * rate) : int(6.2 * rate)]))
    assert both - alone == pytest.approx(10 * np.log10(10**0.8 + 1), abs=0.2)


def test_a_library_in_use_is_audited_by_its_sites_file(place: Path):
    music = np.repeat(tone(1050, -36, 12)[None], 2, axis=0)
    flac = encode_flac(music, RATE, 16, {"comment": "state day, seed 3"})
    with Library.open(LibrarySettings(), place / "data") as library:
        import hashlib

        track = Track(hashlib.sha256(flac).hexdigest(), "day", "", 12, RATE, None, None, None, None, 0, -23, -6, "composer", "composer 1", 3, "CC0-1.0", 0)
        files = library.incoming / "one.flac", library.incoming / "one.opus"
        for file in files:
            file.write_bytes(flac)
        library.add(track, "hash", *files)
        (library.incoming / "half.flac").write_bytes(flac[:1000])
        (place / "site.yaml").write_text("data: data\n")
        result = run_files(place, str(place / "alarms"), "--config", str(place / "site.yaml"))
    assert result.exit_code == 1, result.output
    assert f"over day ({track.id[:12]})" in result.output


def test_a_pack_is_made_and_audited(tmp_path: Path):
    rules = tmp_path / "rules.yaml"
    rules.write_text("gridtone: 1\nsignals: {load: {of: grid/load}}\nstates:\n  busy: {when: load > 1, prompt: calm}\n  off: {silent: true}\nfallback: 'off'\n")
    write_examples(tmp_path)
    result = run(tmp_path, str(tmp_path / "alarms"), "--pack", str(rules), "--seconds", "10", "--levels", str(tmp_path / "levels.yaml"))
    assert result.exit_code == 0, result.output
    assert result.output.count("over busy (busy ") == 3


@pytest.mark.slow
@pytest.mark.parametrize("pack", pack_names())
def test_every_state_of_every_pack_gets_music_past_the_gate_that_leaves_the_alarms_audible(pack: str):
    """Music that the gate always refuses, because of the cap of a state close to an alarm, say, would leave that state to other states' tracks."""
    with_music = {name for name, state in load_pack(pack).states.items() if state.prompt}
    tracks = pack_tracks(pack, load_pack(pack), GateLimits(), RoomSettings(), 12, 1)
    beep = np.tile(np.concatenate([tone(880, -20, 0.5) + tone(1760, -20, 0.5), np.zeros(RATE // 2, np.float32)]), 4)
    found, _ = audit([sound(beep)], tracks, Levels(music_dba=45, background=40, alarms={"alarm.wav": 65}), Settings())
    assert set(found.states) == with_music
    assert found.masked == []


def silent(path: Path) -> None:
    soundfile.write(path, np.zeros(RATE), RATE)


@pytest.mark.parametrize(
    ("prepare", "arguments", "words"),
    [
        (lambda place: None, ["absent"], ["absent", "there is no such file or folder"]),
        (lambda place: (place / "empty").mkdir(), ["empty"], ["no audio in this folder"]),
        (lambda place: (place / "text.wav").write_text("text"), ["text.wav"], ["text.wav", "not audio that can be read", "save it as WAV"]),
        (lambda place: silent(place / "still.wav"), ["still.wav"], ["still.wav", "it is silent"]),
        (lambda place: soundfile.write(place / "blip.wav", np.ones(100), RATE), ["blip.wav"], ["blip.wav", "too short"]),
        (lambda place: soundfile.write(place / "slow.wav", np.ones(9000), 4000), ["slow.wav"], ["slow.wav", "4000 samples a second"]),
        (lambda place: soundfile.write(place / "n.wav", np.full(RATE, np.nan), RATE, "FLOAT"), ["n.wav"], ["n.wav", "no numbers"]),
        (lambda place: None, ["alarms", "alarms/beep.wav"], ["beep.wav", "two alarms have this name"]),
        (lambda place: None, ["alarms", "--tracks", "alarms/none"], ["no tracks there", "--pack transmission"]),
        (lambda place: silent(place / "tracks/still.wav"), ["alarms"], ["still.wav", "it is silent"]),
        (lambda place: (place / "l.yaml").write_text("music_dba: loud\n"), ["alarms", "--levels", "l.yaml"], ["l.yaml:1:12", "loud"]),
        (
            lambda place: (place / "l.yaml").write_text("music_dba: 45\nalarms:\n  beeb.wav: 60\n"),
            ["alarms", "--levels", "l.yaml"],
            ["l.yaml:3:3", "did you mean `beep.wav`?", "the level of `beep.wav` is missing"],
        ),
        (lambda place: None, ["alarms", "--levels", "absent.yaml"], ["absent.yaml"]),
        (lambda place: None, ["alarms", "--levels", "absent.yaml", "--one-system", "-3"], ["--levels or --one-system"]),
        (lambda place: None, ["alarms", "--pack", "transmision"], ["did you mean `transmission`?"]),
        (lambda place: None, ["alarms", "--pack", "transmission"], ["--config, --tracks and --pack"]),
    ],
)
def test_bad_input_is_exit_code_2_and_says_what_to_do(place: Path, monkeypatch: pytest.MonkeyPatch, prepare, arguments: list[str], words: list[str]):
    monkeypatch.chdir(place)
    prepare(place)
    alone = "--pack" in arguments and arguments[-1] == "transmision"
    extra = [] if "--tracks" in arguments or alone else ["--tracks", "tracks"]
    result = run(place, *arguments, *extra)
    assert result.exit_code == 2, result.output
    for word in words:
        assert word in re.sub(r"\s+", " ", result.output)
    assert "Traceback" not in result.output
    assert not (place / "report.html").exists()
