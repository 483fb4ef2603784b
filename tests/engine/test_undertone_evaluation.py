"""The evaluation: judges that tell right from wrong, and the whole of it at toy size."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from undertone_miniature import miniature

from gridtone_engine import Attributes, EngineError, Prompt, open_engine
from gridtone_engine.undertone import Undertone
from gridtone_engine.undertone.cli import train
from gridtone_engine.undertone.evaluate import hearing, table
from gridtone_engine.undertone.evaluate.asking import question
from gridtone_engine.undertone.evaluate.hearing import Heard
from gridtone_engine.undertone.evaluate.run import Size, evaluate
from gridtone_engine.undertone.export import export_model

RATE = 32_000


def heard(**differences) -> Heard:
    return Heard(
        **{"tempo_bpm": 0, "tonic": 0, "minor": False, "onsets_per_second": 0, "loudness_range_lu": 0, "centroid_hz": 0, "embeddings": []} | differences
    )


def test_a_question_says_the_same_in_every_language():
    for number in range(6):
        english, chinese = question(number, "en", 20), question(number, "zh", 20)
        assert (english.asked.tempo_bpm, english.asked.key, english.asked.instruments) == (
            chinese.asked.tempo_bpm,
            chinese.asked.key,
            chinese.asked.instruments,
        )
        assert english.asked.tempo_bpm and english.asked.key and english.prompt.text.isascii() and not chinese.prompt.text.isascii()
        assert english.prompt.seed != chinese.prompt.seed
    assert question(3, "en", 20) == question(3, "en", 20) != question(4, "en", 20)


def test_judges_tell_right_from_wrong():
    asked = [Attributes(tempo_bpm=80, key="D minor", energy=0.2), Attributes(tempo_bpm=120, key="F major", energy=0.8), Attributes()]
    right = [heard(tempo_bpm=161, tonic=2, minor=True, onsets_per_second=1), heard(tempo_bpm=118, tonic=5, onsets_per_second=4), heard()]
    assert table.tempo(asked, right) == 1 and table.key(asked, right) == 1
    assert table.tempo(asked, [right[1], right[0], right[2]]) == 0 and table.key(asked, [right[0]] * 3) == 0.5
    energy = table.follows("energy", lambda sound: sound.onsets_per_second)
    assert energy(asked, right) == pytest.approx(1) and energy(asked, [right[1], right[0], right[2]]) == pytest.approx(-1)
    assert energy(asked, [right[0]] * 3) is None, "what never varies follows nothing"
    row = table.judged("tempo", ">= 0.7", table.tempo, asked, right, [right[1], right[0], right[2]])
    assert row.undertone == 1 and row.composer == 0 and "| tempo | 1.00 | 0.00 |" in table.markdown([row])
    assert "not measured" in table.markdown([table.Row("speed", None)])


def test_embeddings_are_compared():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(24, 12))

    def sounds(noise, places=places):
        return [heard(embeddings=(place + noise * rng.normal(size=(3, 12))).tolist()) for place in places]

    composer = sounds(0.1)
    assert table.retrieval(sounds(0.1), composer) > 0.9
    assert table.retrieval(sounds(0.1), composer, shift=1) < 0.1
    assert abs(table.retrieval(sounds(0.1, rng.normal(size=(24, 12))), composer) - 1 / 8) < 0.12
    assert table.retrieval([heard()] * 24, composer) is None
    assert table.frechet(composer, composer) == pytest.approx(0, abs=1e-3)
    assert table.frechet(sounds(0.1), composer) < table.frechet(sounds(0.1, places + 2), composer)
    assert table.diversity([sounds(2.0)[:4]]) > table.diversity([sounds(0.01, places[:1].repeat(4, axis=0))])


def test_drift_is_told_from_music_that_goes_on():
    rng = np.random.default_rng(0)
    steady = 0.1 * rng.normal(size=(2, 90 * RATE)).astype(np.float32)
    fading = steady.copy()
    fading[:, 65 * RATE :] *= 0.01
    loop = np.tile(steady[:, : 10 * RATE], 9)
    assert table.drift(steady, RATE)["outside"] == 0 and table.drift(steady, RATE)["alike"] < 0.9
    assert table.drift(fading, RATE)["outside"] == 1
    assert table.drift(loop, RATE)["alike"] > 0.99


def test_a_signal_is_compared_whatever_its_scale():
    audio = np.random.default_rng(0).normal(size=(2, 1000)).astype(np.float32)
    assert table.si_sdr_db(3 * audio, audio) > 60
    assert abs(table.si_sdr_db(audio + 0.1 * np.random.default_rng(1).normal(size=audio.shape).astype(np.float32), audio) - 20) < 1


@pytest.mark.slow
def test_the_evaluators_hear_what_the_composer_played():
    pytest.importorskip("basic_pitch")
    prompt = Prompt("", 20, 3, Attributes(tempo_bpm=96, key="A minor", energy=0.7, density=0.7))
    [track] = open_engine("composer").sample([prompt])
    found = hearing.hear(track.samples, track.sample_rate)
    assert table.tempo([prompt.attributes], [found]) == 1 and table.key([prompt.attributes], [found]) == 1
    assert found.onsets_per_second > 0.5 and found.loudness_range_lu > 0 and found.centroid_hz > 100
    played = hearing.notes(track.samples, track.sample_rate)
    assert hearing.onset_f1(played, played) == 1 and hearing.onset_f1(played, played[::7]) < 0.5 and hearing.onset_f1(played, []) == 0


@pytest.mark.slow
def test_the_whole_evaluation_goes_on_where_it_was_stopped(tmp_path):
    pytest.importorskip("basic_pitch")
    weights, output = tmp_path / "weights", tmp_path / "evaluation"
    list(export_model(*miniature(), "tiny", weights))
    size = Size(prompts=2, seconds=5, pieces=1, diverse_prompts=1, seeds=2, long_seconds=20, long_tracks=2, more=1)
    shown = table.markdown(evaluate(Undertone(weights), output, size))
    rows = {row["what"]: row for row in json.loads((output / "evaluation.json").read_text())["rows"]}
    tempo, codec = rows["tempo asked for, within 6 %, octaves apart"], rows["codec, onset F1, held-out pieces"]
    assert None not in (tempo["undertone"], tempo["composer"], tempo["shuffled"])
    assert codec["composer"] > codec["undertone"], "levels without codes lose less"
    assert rows["times real time, as it runs here"]["undertone"] > 0
    assert "| tempo asked for" in shown and (output / "evaluation.md").read_text() == shown
    kept = sorted(output.rglob("*.flac"))
    assert len(kept) == 2 * (2 * 2 + 2 + 1 + 2)
    made = {path: path.stat().st_mtime_ns for path in kept}
    kept[0].unlink()
    kept[0].with_suffix(".json").unlink()
    with pytest.raises(EngineError, match="tracks of something else"):
        evaluate(Undertone(weights, guidance=1), output, size)
    evaluate(Undertone(weights), output, size)
    assert [path for path in kept if made[path] != path.stat().st_mtime_ns] == [kept[0]], "only what is missing is made again"


def test_the_command_says_what_it_can_be_told():
    result = CliRunner().invoke(train, ["evaluate", "--weights", "nowhere"])
    assert result.exit_code == 2 and "nowhere" in result.output
    assert "--prompts" in CliRunner().invoke(train, ["evaluate", "--help"]).output
