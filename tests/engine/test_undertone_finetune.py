"""A user's own recordings: one recipe, from a folder of files to weights that play, at toy size."""

import json

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner
from undertone_miniature import TINY, miniature

from gridtone_engine import EngineError, Prompt
from gridtone_engine.undertone import Undertone
from gridtone_engine.undertone.checkpoints import trained_codec
from gridtone_engine.undertone.cli import train
from gridtone_engine.undertone.configs import read_recipe
from gridtone_engine.undertone.corpus import SAMPLE_RATE, Shards, find_recordings, held_apart, make
from gridtone_engine.undertone.data import CodeCrops
from gridtone_engine.undertone.export import export_model
from gridtone_engine.undertone.torch_model import TorchModel
from gridtone_engine.undertone.train import CodecTrainer, PriorTrainer, cut_corpus

RECIPE = """
from: tiny
recordings: music
start: weights
corpus: {composed: 0.25, held_out_share: 0.3}
train_codec: {steps: 6}
train_prior: {steps: 6}
sample_prompts: [calm]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Three good recordings of 5 s in music/, one of them mono at 44.1 kHz, one with a caption in Chinese; files that are no good; weights to start from."""
    folder = tmp_path_factory.mktemp("site")
    music = folder / "music"
    (music / "older").mkdir(parents=True)
    tones = np.sin(2 * np.pi * 440 * np.arange(5 * 44_100) / 44_100) * np.linspace(0.2, 0.8, 5 * 44_100)
    soundfile.write(music / "mono.wav", tones, 44_100)
    for number, (name, caption) in enumerate({"calm": "平静，缓慢，60 bpm，D 小调，钢琴\n", "older/night": "dark, in X minor, 92 bpm"}.items()):
        soundfile.write(music / f"{name}.flac", make(number, 5.0).samples.T, SAMPLE_RATE)
        (music / f"{name}.txt").write_text(caption, encoding="utf-8-sig")
    (music / "broken.wav").write_bytes(b"RIFF, or so it says")
    (music / "tape.raw").write_bytes(bytes(1000))
    soundfile.write(music / "short.wav", tones[:44_100], 44_100)
    soundfile.write(music / "torn.flac", make(3, 5.0).samples.T, SAMPLE_RATE)
    whole = (music / "torn.flac").read_bytes()
    (music / "torn.flac").write_bytes(whole[: len(whole) // 2])
    soundfile.write(music / "old_letters.wav", tones, 44_100)
    (music / "old_letters.txt").write_bytes("平静".encode("gbk"))
    list(export_model(*miniature(), "tiny", folder / "weights"))
    (folder / "mine.yaml").write_text(RECIPE)
    return folder


def run(command, site, folder, *more, recipe="mine.yaml"):
    given = [command, "--recipe", str(site / recipe), "--folder", str(folder), *more]
    return CliRunner().invoke(train, given, catch_exceptions=False).output


@pytest.fixture(scope="module")
def cut(site):
    """A run's folder after `train corpus`, and what that said."""
    folder = site / "run"
    return folder, run("corpus", site, folder)


@pytest.mark.slow
def test_from_recordings_to_weights_that_play(site, cut):
    folder, said = cut
    wrong = {
        "broken.wav": "Save it as WAV",
        "tape.raw": "Save it as WAV",
        "short.wav": "1.0 s",
        "torn.flac": "left out",
        "old_letters.wav": "Save it as UTF-8",
        "night.flac": "'X'",
    }
    for name, what in wrong.items():
        assert any(name in line and what in line for line in said.splitlines()), (name, said)
    assert "3 recordings are in, 1 of them held out; 5 files were left out" in said
    recipe, start = read_recipe(str(site / "mine.yaml")), TorchModel.load(site / "weights", "cpu")
    assert "stopped" in run("codec", site, folder, "--max-minutes", "0")
    part = CodecTrainer(recipe, folder)
    part._advance()
    part.save()
    assert "finished" in run("codec", site, folder)
    codec, music = trained_codec(recipe, folder), torch.from_numpy(make(9, 2.0).samples)[None]
    assert torch.equal(codec.encode(music), start.codec.encode(music)), "codes keep their meaning"
    changed = {name.split(".")[0] for name, value in codec.state_dict().items() if not torch.equal(value, start.codec.state_dict()[name])}
    assert changed == {"decoder"}
    begun = PriorTrainer(recipe, folder)
    assert all(torch.equal(value, start.prior.state_dict()[name]) for name, value in begun.model.state_dict().items())
    assert "finished" in run("prior", site, folder)
    lines = [json.loads(line) for line in (folder / "prior.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 6 and np.isfinite(lines[-1]["held_out_loss"])
    assert {path.name.split("_")[0] for path in (folder / "samples").iterdir()} == {"codec", "prior"}
    assert "finished" in run("corpus", site, folder), "what is there stays"
    assert "step.onnx" in run("export", site, folder, "-o", str(folder / "mine"))
    [track] = Undertone(folder / "mine").sample([Prompt("平静", 2.0)])
    assert np.isfinite(track.samples).all() and track.samples.any() and track.model == "undertone mine"


@pytest.mark.slow
def test_a_stopped_fine_tuning_goes_on_as_if_it_had_not_been(site, tmp_path):
    alone = site / "alone.yaml"
    alone.write_text(RECIPE.replace("composed: 0.25", "composed: 0").replace("[calm]", "[]"))
    recipe = read_recipe(str(alone))
    assert cut_corpus(recipe, tmp_path)[0]
    CodecTrainer(recipe, tmp_path).run()
    through = PriorTrainer(recipe, tmp_path)
    while through.step < 6:
        through._advance()
    for steps in (2, 6):
        part = PriorTrainer(recipe, tmp_path)
        while part.step < steps:
            part._advance()
        part.save()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(through.average.state_dict().values(), part.average.state_dict().values(), strict=True))
    assert part.examine().keys() == {"held_out_loss"}, "no prompt was to be heard"


@pytest.mark.slow
def test_a_prior_of_another_shape_may_begin_over_the_codec_of_given_weights(site, tmp_path):
    wider = site / "wider.yaml"
    wider.write_text(RECIPE.replace("train_codec: {steps: 6}", "train_codec: {steps: 0}\nprior: {depth: 3}").replace("[calm]", "[]"))
    assert cut_corpus(read_recipe(str(wider)), tmp_path)[0]
    with pytest.raises(EngineError, match=r"prior\.depth is 2, the recipe's 3"):
        CodecTrainer(read_recipe(str(wider)), tmp_path)
    wider.write_text(wider.read_text() + "start_prior: false\n")
    recipe, start = read_recipe(str(wider)), TorchModel.load(site / "weights", "cpu")
    CodecTrainer(recipe, tmp_path).run()
    assert all(torch.equal(value, start.codec.state_dict()[name]) for name, value in trained_codec(recipe, tmp_path).state_dict().items())
    trainer = PriorTrainer(recipe, tmp_path)
    assert len(trainer.model.layers) == 3 and trainer.run()


@pytest.mark.slow
def test_the_prior_may_learn_beside_the_codec(site, tmp_path):
    (site / "anew.yaml").write_text(RECIPE.replace("start: weights", "").replace("composed: 0.25", "composed: 0"))
    recipe = read_recipe(str(site / "anew.yaml"))
    cut_corpus(recipe, tmp_path)
    codec = CodecTrainer(recipe, tmp_path)
    codec.save()
    with pytest.raises(EngineError, match="come with the first step"):
        PriorTrainer(recipe, tmp_path)
    found = []

    def beside(_):
        if codec.step == 2:
            found.append(PriorTrainer(recipe, tmp_path).codec.quantiser.vectors)

    codec.run(report=beside)
    assert torch.equal(found[0], trained_codec(recipe, tmp_path).quantiser.vectors)


def test_recordings_are_used_to_their_end_and_no_further(site, tmp_path):
    found, wrong = find_recordings(site / "music", 2.0)
    assert [one.path.name for one in found] == ["calm.flac", "mono.wav", "night.flac", "torn.flac"] and len(wrong) == 4
    alone = site / "alone.yaml"
    alone.write_text(RECIPE.replace("composed: 0.25", "composed: 0"))
    recipe = read_recipe(str(alone))
    cut_corpus(recipe, tmp_path)
    sets = {name: Shards(tmp_path / name) for name in ("corpus", "held_out")}
    names = [{name for name, _ in json.loads((tmp_path / place / "corpus.json").read_text())["recordings"]} for place in sets]
    assert not names[0] & names[1] and len(names[1]) == 1
    pieces = [(record, shards.samples(number)) for shards in sets.values() for number, record in enumerate(shards.records())]
    assert len(pieces) == 9 and all(samples.shape == (2, 2 * SAMPLE_RATE) for _, samples in pieces)
    calm = [samples for record, samples in pieces if "平静" in record["caption"]]
    original = make(0, 5.0).samples
    for samples, start in zip(calm, (0.0, 1.5, 3.0), strict=True):
        assert np.abs(samples - original[:, round(start * SAMPLE_RATE) :][:, : 2 * SAMPLE_RATE]).max() < 1e-3
    mono = [samples for record, samples in pieces if not record["caption"]]
    assert np.array_equal(mono[0][0], mono[0][1])
    crossings = np.diff(np.signbit(mono[2][0])).sum() / 2
    assert abs(crossings / 2.0 - 440) < 1 and mono[2].max() > 0.7, "resampled in tune, the loud end of it last"


def test_what_a_caption_says_is_told_and_nothing_else(site):
    found, _ = find_recordings(site / "music", 2.0)
    calm, mono, night = (one.said for one in found[:3])
    assert (calm.tempo_bpm, calm.key, calm.instruments) == (60, "D minor", ("piano",))
    assert mono == type(mono)()
    assert night.tempo_bpm == 92 and night.key is None, "of a mode without a tonic no tonic is made up"
    trained, judged = held_apart(found, 0.01, 0)
    assert len(judged) == 1 and not {one.path for one in judged} & {one.path for one in trained}


@pytest.mark.slow
def test_batches_mix_recordings_with_the_composers_music(site, cut):
    recipe = read_recipe(str(site / "mine.yaml"))
    shards = Shards(cut[0] / "corpus")
    assert shards.recorded in (3, 6) and len(shards) == shards.recorded + 32
    drawn = shards.draw(4000, 0.25, np.random.default_rng(0))
    assert abs((drawn >= shards.recorded).mean() - 0.25) < 0.03 and set(drawn) == set(range(len(shards)))
    crops = CodeCrops(shards, np.zeros((len(shards), TINY.prior.codebooks, 50), np.uint16), np.zeros((len(shards), 512), np.float32), recipe)
    told = [crops._sheet(piece, np.arange(20)).any() for piece in range(len(shards))]
    assert told == [False] * shards.recorded + [True] * 32, "of a recording the lead sheet says nothing"


def test_what_is_wrong_is_named(site, tmp_path):
    def recipe(text):
        (site / "other.yaml").write_text(text)
        return read_recipe(str(site / "other.yaml"))

    (site / "nothing").mkdir()
    with pytest.raises(ValueError, match=r"nothing: too few recordings"):
        cut_corpus(recipe(RECIPE.replace("recordings: music", "recordings: nothing")), tmp_path / "none")
    alone = RECIPE.replace("composed: 0.25", "composed: 0")
    wide = recipe(alone + "codec: {width: 64}\n")
    cut_corpus(wide, tmp_path)
    with pytest.raises(EngineError, match=r"weights holds weights of another shape: codec.width is 32, the recipe's 64"):
        CodecTrainer(wide, tmp_path)
    with pytest.raises(EngineError, match="nowhere holds no weights"):
        CodecTrainer(recipe(alone.replace("start: weights", "start: nowhere")), tmp_path)
    CodecTrainer(recipe(alone.replace("start: weights", "")), tmp_path).run(0.0)
    for trainer in (CodecTrainer, PriorTrainer):
        with pytest.raises(EngineError, match=r"codec.pt has other codes than the weights in .*weights"):
            trainer(recipe(alone), tmp_path)
    with pytest.raises(ValueError, match="another corpus"):
        cut_corpus(recipe(alone.replace("held_out_share: 0.3", "seconds: 1")), tmp_path)
