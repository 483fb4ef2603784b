"""Jukebox as an engine: the licence first, prompts to labels with a report, renditions that carry their licence."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from jukebox_miniature import miniature

from gridtone_engine import Attributes, EngineError, Progress, Prompt, engine_names, open_engine
from gridtone_engine.jukebox import Jukebox
from gridtone_engine.jukebox.configs import LICENCE, MODELS
from gridtone_engine.jukebox.labels import CHARACTERS, LabelError, Labels, LabelSet, characters_heard, label_vector, lyric_characters
from gridtone_engine.jukebox.moods import map_prompt, read_moods
from gridtone_engine.jukebox.weights import save_model
from gridtone_engine.text.lexicon import lexicon


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_model(miniature(), folder, licence="CC0-1.0")
    return folder


def test_the_licence_comes_before_everything(tmp_path: Path) -> None:
    assert "jukebox" in engine_names()
    for accepted in ("", "yes", "MIT"):
        with pytest.raises(EngineError, match=f'may be used for commercial purposes.*accept_licence: "{LICENCE}"'):
            open_engine("jukebox", model="1b_lyrics", folder=tmp_path, accept_licence=accepted)
    with pytest.raises(EngineError, match=r"lacks vqvae\.safetensors"):
        open_engine("jukebox", model="1b_lyrics", folder=tmp_path, accept_licence=LICENCE)


def test_its_name_and_its_refusal_are_known_without_torch() -> None:
    script = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Without())
from gridtone_engine import EngineError, engine_names, open_engine
assert "jukebox" in engine_names()
try:
    open_engine("jukebox")
except EngineError as error:
    print(error)
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "the jukebox engine needs torch: pip install 'gridtone[torch]'"


def test_a_batch_of_prompts_becomes_renditions(folder: Path) -> None:
    engine = open_engine("jukebox", model="miniature", folder=folder)
    prompts = [Prompt("calm ambient", seconds=0.12, seed=1), Prompt("artist: Nobody\n专注", seconds=0.1, seed=2)]
    reports: list[Progress] = []
    first, second = engine.sample(prompts, progress=reports.append)
    assert first.samples.shape == (1, round(0.12 * 44_100))
    assert second.samples.shape == (1, 4410)
    assert first.samples.dtype == np.float32
    assert np.abs(first.samples).max() <= 1
    assert (first.engine, first.model, first.licence) == ("jukebox", "jukebox miniature", "CC0-1.0")
    assert "nobody: not among the names that jukebox miniature knows" in second.understanding.ignored
    assert reports[-1].fraction == 1
    assert not list((folder / "runs").iterdir()), "a finished run leaves nothing behind"
    [again] = engine.sample(prompts[1:])
    assert np.array_equal(again.samples, second.samples), "company does not matter"


def test_a_cancelled_run_is_taken_up_again(folder: Path) -> None:
    engine = open_engine("jukebox", model="miniature", folder=folder)
    prompts = [Prompt("calm", seconds=0.12, seed=5)]
    [whole] = engine.sample(prompts)
    looks = iter([False] * 6)
    assert list(engine.sample(prompts, cancelled=lambda: next(looks, True))) == []
    [run] = (folder / "runs").iterdir()
    assert list(run.glob("track_0_level_2.npy"))
    reports: list[Progress] = []
    [resumed] = engine.sample(prompts, progress=reports.append)
    assert reports[0].step != "level 2: 0 of 42 codes"
    assert np.array_equal(resumed.samples, whole.samples)


def test_audio_is_continued(folder: Path, tmp_path: Path) -> None:
    sound = 0.5 * np.sin(np.arange(2205) * 0.1)
    soundfile.write(tmp_path / "fragment.wav", np.stack([sound, sound], axis=1), 22_050)
    engine = open_engine("jukebox", model="miniature", folder=folder)
    [plain], [continued] = (list(engine.sample([Prompt(seconds=0.12, continue_from=path)])) for path in (None, tmp_path / "fragment.wav"))
    assert continued.samples.shape == plain.samples.shape
    assert not np.array_equal(continued.samples[:, :3000], plain.samples[:, :3000])
    with pytest.raises(EngineError, match=r"missing\.wav cannot be continued"):
        list(engine.sample([Prompt(seconds=0.12, continue_from=tmp_path / "missing.wav")]))


def test_a_draft_is_decoded_from_the_top(folder: Path) -> None:
    engines = [open_engine("jukebox", model="miniature", folder=folder, draft=draft) for draft in (True, False)]
    [draft], [whole] = (list(engine.sample([Prompt(seconds=0.1)])) for engine in engines)
    assert draft.samples.shape == whole.samples.shape
    assert not np.array_equal(draft.samples, whole.samples)


def test_a_draft_that_is_kept_is_only_upsampled_later(folder: Path) -> None:
    prompts = [Prompt("calm", seconds=0.1, seed=9)]
    [draft] = open_engine("jukebox", model="miniature", folder=folder, draft=True, keep_codes=True).sample(prompts)
    reports: list[Progress] = []
    [whole] = open_engine("jukebox", model="miniature", folder=folder).sample(prompts, progress=reports.append)
    assert all("level 2: 35 of 35" in report.step or "level 2" not in report.step for report in reports)
    assert draft.samples.shape == whole.samples.shape


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"quantised": "int8"}, {"quantised": "fp8"}, {"window_parallel": True}, {"batch": 1}])
def test_options_that_trade_make_music_too(folder: Path, options: dict[str, object]) -> None:
    [rendition] = Jukebox("miniature", folder=folder, **options).sample([Prompt(seconds=0.1)])  # type: ignore[arg-type]
    assert rendition.samples.shape == (1, 4410)
    assert np.isfinite(rendition.samples).all()


def test_lengths_outside_the_model_are_refused(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"knows pieces of 0\.05 to 600 s; 700 s from 0 s of 700 s does not fit"):
        list(open_engine("jukebox", model="miniature", folder=folder, draft=True).sample([Prompt(seconds=700)]))


@pytest.mark.parametrize(
    ("text", "v3", "v2", "ignored"),
    [
        ("专注、沉稳、有节奏", "minimal", "electronic ambient", ()),
        ("calm ambient, warm pads", "ambient", "ambient soft", ()),
        ("Ominous drones at 60 bpm", "dark ambient", "dark ambient", ("at 60 bpm",)),
        ("not dark, no drums, jazz piano", "jazz", "jazz contemporary", ("not dark", "no drums")),
        ("kühl und klar, D minor", "dark ambient", "dark", ("D minor",)),
        ("", "unknown", "unknown", ()),
        ("紧张的雷声", "dark ambient", "dark", ("雷",)),
    ],
)
def test_moods_become_genres_and_the_rest_is_reported(text: str, v3: str, v2: str, ignored: tuple[str, ...]) -> None:
    mapped = map_prompt(text, Attributes(), read_moods())
    assert (mapped.labels["v3"].genre, mapped.labels["v2"].genre) == (v3, v2)
    assert mapped.understanding.ignored == ignored
    assert all(text[phrase.start :].startswith(phrase.text) for phrase in mapped.understanding.understood)


def test_every_mood_of_the_lexicon_has_a_rule() -> None:
    words = {word for mood in read_moods() for word in mood.words}
    assert set(lexicon().moods) <= words


def test_labels_can_be_said_directly() -> None:
    mapped = map_prompt("calm\nArtist: Kraftwerk\ngenre： Soft Rock\nlyrics: We are\nthe robots\n", Attributes(tempo_bpm=60), read_moods())
    assert mapped.labels["v3"] == Labels("Kraftwerk", "Soft Rock", "We are\nthe robots")
    assert mapped.understanding.ignored == ("tempo_bpm: 60",)
    assert [phrase.meaning for phrase in mapped.understanding.understood] == [
        "genre: ambient (v3), ambient (v2)",
        "artist: Kraftwerk",
        "genre: Soft Rock",
        "lyrics, to be sung",
    ]


def test_a_site_may_bring_its_own_table(tmp_path: Path) -> None:
    table = tmp_path / "moods.yaml"
    table.write_text("- words: [foggy]\n  v3: dream pop\n  v2: dream pop\n", "utf-8")
    assert map_prompt("foggy", Attributes(), read_moods(table)).labels["v2"].genre == "dream pop"
    table.write_text("- words: [foggy]\n  v3: 3\n", "utf-8")
    with pytest.raises(EngineError, match=r"moods\.yaml: .*v2|moods\.yaml: .*v3"):
        read_moods(table)


def test_label_vectors_of_both_sets() -> None:
    """In samples and ids: total length, offset, window length, artist, genres, lyrics."""
    v2, v3 = MODELS["5b"].top, MODELS["1b_lyrics"].top
    names = {"unknown": 0, "ambient": 7, "dream": 9, "a_b_c_.": 11}
    ids = LabelSet("v2", names, names).encode(Labels("A & b/C .", "Ambient-DREAM new", offset_seconds=10), v2, 30)
    assert ids.unknown == ("new",)
    assert label_vector(v2, ids, start=100).tolist() == [[60 * 44_100, 10 * 44_100 + 100 * 128, 8192 * 128, 11, 7, 9, 0, -1, -1]]
    ids = LabelSet("v3", {"a & b": 5}, {"dream pop": 6}).encode(Labels("A & B", "Dream Pop", "Né+à 1", total_seconds=180), v3, 30)
    assert ids.characters == tuple(CHARACTERS["v3"].index(letter) + 1 for letter in "Nea 1"), "accents and what the set lacks are left out"
    vector = label_vector(v3, ids, start=0)[0].tolist()
    assert vector[:5] == [180 * 44_100, 0, 6144 * 128, 5, 6]
    assert vector[5:] == [0] * 379 + list(ids.characters)
    with pytest.raises(LabelError, match="at most 5 genre words; 'a b c d e f' has 6"):
        LabelSet("v2", names, names).encode(Labels(genre="a b c d e f"), v2, 30)


def test_lyrics_move_with_the_window() -> None:
    ids = LabelSet("v3", {}, {}).encode(Labels(lyrics="x" * 1000, total_seconds=100), MODELS["1b_lyrics"].top, 100)
    text = tuple(range(1000))
    rate = 44_100
    assert characters_heard(text, 100, ids, 0, 10 * rate) == text[:100]
    assert characters_heard(text, 100, ids, 45 * rate, 10 * rate) == text[450:550]
    assert characters_heard(text, 100, ids, 95 * rate, 10 * rate) == text[900:]
    assert (len(CHARACTERS["v2"]) + 1, len(CHARACTERS["v3"]) + 1) == (80, 79)
    assert lyric_characters("a+b", "v2") != lyric_characters("a+b", "v3")
    assert lyric_characters("Aa", "v3") == (1, 27)
