"""The trainer, from the corpus to weights that play, at toy size; and that what was stopped goes on as if it had not been."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gridtone_engine import EngineError, Prompt
from gridtone_engine.undertone import Undertone
from gridtone_engine.undertone.adversary import Adversary
from gridtone_engine.undertone.checkpoints import trained_codec
from gridtone_engine.undertone.cli import train
from gridtone_engine.undertone.conditions import Conditions
from gridtone_engine.undertone.configs import RECIPES, read_recipe
from gridtone_engine.undertone.corpus import Shards
from gridtone_engine.undertone.data import AudioCrops, CodeCrops, forget
from gridtone_engine.undertone.lead_sheet import SHEET_WIDTH
from gridtone_engine.undertone.train import CodecTrainer, PriorTrainer, render_corpus

TINY = RECIPES["tiny"]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rendered")
    assert render_corpus(TINY, folder)
    return folder


def run_of(rendered, folder):
    for name in ("corpus", "held_out"):
        (folder / name).symlink_to(rendered / name)
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_from_the_corpus_to_weights_that_play(rendered, tmp_path):
    run = run_of(rendered, tmp_path)
    for command in ("codec", "prior"):
        result = CliRunner().invoke(train, [command, "--recipe", "tiny", "--folder", str(run)], catch_exceptions=False)
        assert "finished" in result.output
    result = CliRunner().invoke(train, ["export", "--recipe", "tiny", "--folder", str(run), "-o", str(run / "weights")], catch_exceptions=False)
    assert "step.onnx" in result.output and "int8 against torch" in result.output
    [track] = Undertone(run / "weights").sample([Prompt("calm, slow, warm pads", 2.0)])
    assert np.isfinite(track.samples).all() and track.samples.any()
    polished_by_all_means(run)
    codec, prior = lines(run / "codec.jsonl"), lines(run / "prior.jsonl")
    assert codec[-1]["held_out_codes_in_use"] > 0.3
    assert prior[-1]["held_out_loss"] < np.log(TINY.prior.codes)
    assert {path.name.split("_")[0] for path in (run / "samples").glob("*.ogg")} == {"codec", "prior"}
    board = EventAccumulator(str(run / "tensorboard" / "prior")).Reload()
    assert board.Scalars("held_out_loss")[-1].value == pytest.approx(prior[-1]["held_out_loss"], abs=1e-5)
    assert board.Scalars("loss")[-1].step == TINY.train_prior.steps


def polished_by_all_means(run):
    """The adversarial fine-tune of a finished codec: encoder, quantiser and codes stay, the decoder changes; stopped, it goes on as if it had not been."""
    recipe = replace(TINY, polish=replace(TINY.polish, steps=6))
    through, stopped = run / "through", run / "stopped"
    for folder in (through, stopped):
        folder.mkdir()
        run_of(run, folder)
        (folder / "codec.pt").symlink_to(run / "codec.pt")
    assert Adversary(recipe, through).run()
    for steps in (2, 6):
        part = Adversary(recipe, stopped)
        while part.step < steps:
            part._advance()
        part.save()
    ours, theirs = (trained_codec(recipe, folder, polished=True).state_dict() for folder in (through, stopped))
    before = trained_codec(recipe, run).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    changed = {name.split(".")[0] for name in ours if not torch.equal(ours[name], before[name])}
    assert changed == {"decoder"}
    scores = lines(through / "polish.jsonl")[-1]
    assert scores["held_out_error_db"] < 0
    (run / "polish.pt").symlink_to(through / "polish.pt")
    command = ["export", "--recipe", "tiny", "--folder", str(run), "--polished", "-o", str(run / "polished")]
    assert "decode.onnx" in CliRunner().invoke(train, command, catch_exceptions=False).output
    assert (run / "polished" / "encode.onnx").read_bytes() == (run / "weights" / "encode.onnx").read_bytes() != b""
    assert (run / "polished" / "decode.onnx").read_bytes() != (run / "weights" / "decode.onnx").read_bytes()


@pytest.mark.slow
def test_a_stopped_training_goes_on_as_if_it_had_not_been(rendered, tmp_path):
    recipe = replace(TINY, train_codec=replace(TINY.train_codec, steps=24))
    through, stopped = tmp_path / "through", tmp_path / "stopped"
    for folder in (through, stopped):
        folder.mkdir()
        run_of(rendered, folder)
    assert CodecTrainer(replace(recipe, loaders=2), through).run(), "batches that were made ahead are the same"
    for steps in (3, 15, 24):
        part = CodecTrainer(recipe, stopped)
        while part.step < steps:
            part._advance()
        part.save()
    ours, theirs = (trained_codec(recipe, folder).state_dict() for folder in (through, stopped))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


SEVERAL = """
import sys
from pathlib import Path
import torch
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.train import CodecTrainer

trainer = CodecTrainer(RECIPES["tiny"], Path(sys.argv[1]))
seen = []
for _ in range(3):
    seen.append(trainer.batch_number)
    trainer._advance()
weight = trainer.model.decoder.write[-1].weight
print(f"rank {trainer.rank} of {trainer.processes}: batches {seen}, sum {weight.double().abs().sum().item():.12f}\\n", end="", flush=True)
"""


@pytest.mark.slow
def test_several_processes_learn_one_model_from_batches_of_their_own(rendered, tmp_path):
    run = run_of(rendered, tmp_path)
    (tmp_path / "several.py").write_text(SEVERAL)

    def sums(*start):
        done = subprocess.run([sys.executable, *start, str(tmp_path / "several.py"), str(run)], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return dict(sorted(line.split(", sum ") for line in done.stdout.splitlines()))

    together = sums("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert list(together) == ["rank 0 of 2: batches [0, 2, 4]", "rank 1 of 2: batches [1, 3, 5]"]
    alone = sums()
    assert list(alone) == ["rank 0 of 1: batches [0, 1, 2]"]
    assert len(set(together.values())) == 1 != len({*together.values(), *alone.values()})


ENCODING = """
import sys
from pathlib import Path
from gridtone_engine.undertone.configs import RECIPES
from gridtone_engine.undertone.train import PriorTrainer

told = []
trainer = PriorTrainer(RECIPES["tiny"], Path(sys.argv[1]), told.append)
print(f"rank {trainer.rank}: encoded {bool(told)}, knows {len(trainer.crops.codes)} pieces\\n", end="", flush=True)
"""


@pytest.mark.slow
def test_the_first_of_several_processes_encodes_for_all(rendered, tmp_path):
    run = run_of(rendered, tmp_path)
    codec = CodecTrainer(TINY, run)
    codec._advance()
    codec.save()
    (tmp_path / "encoding.py").write_text(ENCODING)
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([sys.executable, *start, str(tmp_path / "encoding.py"), str(run)], capture_output=True, text=True, timeout=300)
    assert sorted(done.stdout.splitlines()) == ["rank 0: encoded True, knows 32 pieces", "rank 1: encoded False, knows 32 pieces"], done.stderr


@pytest.mark.slow
def test_another_codec_gives_other_codes(rendered, tmp_path):
    run = run_of(rendered, tmp_path)
    for seed in (0, 1):
        codec = CodecTrainer(replace(TINY, seed=seed), run)
        codec._advance()
        codec.save()
        trainer = PriorTrainer(replace(TINY, seed=seed), run)
        music = torch.from_numpy(trainer.crops.shards.samples(3))[None]
        assert np.array_equal(trainer.crops.codes[3], codec.average.encode(music)[0].numpy())
        (run / "codec.pt").unlink()


@pytest.mark.slow
def test_the_time_may_be_up(rendered, tmp_path):
    run = run_of(rendered, tmp_path)
    result = CliRunner().invoke(train, ["codec", "--recipe", "tiny", "--folder", str(run), "--max-minutes", "0.01"], catch_exceptions=False)
    assert "the same command goes on" in result.output
    assert 0 < torch.load(run / "codec.pt", weights_only=True)["step"] < TINY.train_codec.steps
    full, small = run / "codec.pt", run / "small.pt"
    CliRunner().invoke(train, ["carry", str(full), "-o", str(small)], catch_exceptions=False)
    assert small.stat().st_size < 0.2 * full.stat().st_size
    with pytest.raises(EngineError, match="is no checkpoint"):
        CliRunner().invoke(train, ["carry", str(run / "corpus" / "corpus.json"), "-o", str(small)], catch_exceptions=False)
    step = CodecTrainer(TINY, run).step
    small.replace(full)
    part = CodecTrainer(TINY, run)
    part._advance()
    assert part.step == step + 1
    with pytest.raises(EngineError, match="another shape"):
        CodecTrainer(replace(TINY, codec=replace(TINY.codec, width=64)), run)


def test_what_comes_first_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gridtone train corpus"):
        CodecTrainer(TINY, tmp_path)
    with pytest.raises(EngineError, match="train it first"):
        trained_codec(TINY, tmp_path)


def test_batches_follow_from_the_step_alone(rendered):
    crops = AudioCrops(Shards(rendered / "corpus"), TINY)
    [first], [again], [next_one] = crops[3], AudioCrops(Shards(rendered / "corpus"), TINY)[3], crops[4]
    assert torch.equal(first, again) and not torch.equal(first, next_one)
    assert first.shape == (4, 2, round(0.64 * 32_000))


def test_a_batch_is_stretches_of_pieces_with_what_was_asked_and_the_sheet_around_them(rendered):
    shards, books = Shards(rendered / "corpus"), TINY.prior.codebooks
    codes = np.arange(len(shards) * books * 50, dtype=np.uint16).reshape(len(shards), books, 50)
    batch, steps, *_, sheets = CodeCrops(shards, codes, np.zeros((len(shards), 512), np.float32), TINY)[0]
    assert batch.shape == (4, books, 20) and steps.shape == (4, 6)
    assert sheets.shape == (4, 20 + max(TINY.prior.delays) + len(TINY.prior.around) - 1, SHEET_WIDTH)
    assert torch.equal(batch[:, :, 1:], batch[:, :, :-1] + 1), "a crop is a stretch of one piece, not a mixture"


def test_the_prior_is_told_more_than_the_caption_says(rendered):
    shards = Shards(rendered / "corpus")
    records = shards.records()
    asked = CodeCrops(shards, np.zeros((len(shards), TINY.prior.codebooks, 50), np.uint16), np.zeros((len(shards), 512), np.float32), TINY).asked
    assert (asked.steps > 0).all() and any(record["said"]["key"] is None for record in records)
    named = [len(record["honest"]) + len(record["said"]["without"]) for record in records]
    assert asked.instruments.sum(axis=1).tolist() == named, "of instruments those that sound like their names"


def test_conditions_are_dropped_as_often_as_the_recipe_says():
    rows = 4000
    asked = Conditions(np.ones((rows, 6), np.int64), np.ones((rows, 32), np.float32), np.ones((rows, 512), np.float32))
    left, said = forget(asked, 0.12, 0.15, np.random.default_rng(0))
    nothing = ~left.steps.any(axis=1) & ~left.instruments.any(axis=1) & ~left.sentence.any(axis=1)
    assert abs(nothing.mean() - 0.12) < 0.02
    assert abs(left.steps[~nothing].mean() - 0.85) < 0.01
    assert not said[nothing].any() and said.mean() > 0.85, "who is told nothing has no lead sheet either"
    assert set(np.unique(left.sentence.sum(axis=1))) == {0, 512}, "the sentence is heard whole or not at all"


def test_a_recipe_may_differ_in_a_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("from: small\ntrain_codec: {steps: 7, learning_rate: 1}\nsample_prompts: [one]\n")
    mine = read_recipe(str(file))
    assert mine.name == "mine" and mine.train_codec.steps == 7 and mine.train_codec.learning_rate == 1.0 and mine.sample_prompts == ("one",)
    assert replace(mine, name="small", train_codec=RECIPES["small"].train_codec, sample_prompts=RECIPES["small"].sample_prompts) == RECIPES["small"]
    for text, message in (
        ("codec: {wide: 3}", "mine.yaml.codec: there is no 'wide'"),
        ("seed: many", "'many'"),
        ("from: huge", "no recipe"),
        ("codec: 3", "group"),
        ("sample_prompts: calm, slow", "a list like"),
        ("codec: {middle_hz: 5}", "a list like"),
        ("from: [", r"mine\.yaml: while parsing"),
        ("- 1", "holds no settings"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_recipe(str(file))
    with pytest.raises(ValueError, match="neither a recipe"):
        read_recipe("nowhere.yaml")
