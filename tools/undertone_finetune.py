"""What fine-tuning on recordings teaches and what it forgets, by the share of the composer's pieces beside them:
`python tools/undertone_finetune.py [--composed 0 0.5] [--folder .training/finetune]`.

The "recordings" are composed too, so that their sheets are known although training is not told them: held-out pieces in timbres that the weights never met,
with their captions. Each share trains from the same weights by the recipe of docs/undertone.md. Figures are nats a code on other such pieces and on the
composer's held-out pieces, told the sheet that they were played from and the sheet of another piece. Some ten minutes a share on one core; what was stopped
goes on.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch
from rich.console import Console
from rich.progress import track

from gridtone_engine.undertone.checkpoints import started, trained_prior
from gridtone_engine.undertone.configs import OURS, RECIPES, CorpusRecipe, Recipe
from gridtone_engine.undertone.corpus import SAMPLE_RATE, Shards, make, write_shards
from gridtone_engine.undertone.data import CodeCrops, encode_shards, sentence_vectors
from gridtone_engine.undertone.prior import Prior, prior_loss
from gridtone_engine.undertone.train import CodecTrainer, PriorTrainer, cut_corpus

RECORDINGS, FIRST_RECORDING = 64, 10_000
JUDGED, BATCHES = 64, 8
"""Pieces of each kind, and batches of them."""


def record(folder: Path, seconds: float) -> None:
    """Write what stands for a user's recordings, with captions."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(FIRST_RECORDING, FIRST_RECORDING + RECORDINGS):
        file = folder / f"{number}.flac"
        if not file.exists():
            piece = make(number, seconds, "held_out", unseen_timbres=True)
            file.with_suffix(".txt").write_text(piece.caption, encoding="utf-8")
            soundfile.write(file, piece.samples.T, SAMPLE_RATE)


def recipe_of(name: str, start: str, music: Path, composed: float, steps: int) -> Recipe:
    base = RECIPES[name]
    return replace(
        base,
        corpus=CorpusRecipe(256, base.corpus.seconds, base.corpus.processes, composed=composed),
        train_codec=replace(base.train_codec, steps=0),
        train_prior=replace(base.train_prior, steps=steps, learning_rate=2e-4),
        sample_prompts=(),
        recordings=str(music),
        start=start,
    )


def judged(folder: Path, recipe: Recipe, unseen: bool) -> CodeCrops:
    """Held-out pieces that say all and are told all."""
    model = started(recipe)
    assert model
    for _ in write_shards(folder, JUDGED, recipe.corpus.seconds, "held_out", unseen_timbres=unseen, processes=recipe.corpus.processes):
        pass
    shards, codes = Shards(folder), folder / "codes.npy"
    for _ in encode_shards(shards, model.codec, codes):
        pass
    telling = replace(recipe, train_prior=replace(recipe.train_prior, unsaid=0.0, unsaid_each=0.0))
    return CodeCrops(shards, np.load(codes), sentence_vectors(shards, folder / "sentences.npy"), telling)


@torch.inference_mode()
def nats(prior: Prior, crops: CodeCrops) -> tuple[float, float]:
    """A code, under the pieces' own sheets and under those of others."""
    found = []
    for number in range(BATCHES):
        codes, *asked, sheets = crops[number]
        condition, own = prior.condition(*asked), sheets.float()
        found.append([prior_loss(prior, codes.long(), condition, told).item() for told in (own, own.roll(1, dims=0))])
    own, others = np.mean(found, axis=0)
    return float(own), float(others)


def trained(recipe: Recipe, folder: Path) -> Prior:
    cut_corpus(recipe, folder)
    CodecTrainer(recipe, folder).run()
    trainer = PriorTrainer(recipe, folder)
    with_bar = track(range(trainer.step, trainer.steps), description=folder.name, console=Console(stderr=True), transient=True)
    trainer.run(report=lambda _: next(iter(with_bar), None))
    return trained_prior(recipe, folder).eval()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="small")
    parser.add_argument("--weights", default=OURS, help="folder of the weights to start from")
    parser.add_argument("--composed", type=float, nargs="+", default=[0.0, 0.25, 0.5])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--folder", type=Path, default=Path(".training/finetune"))
    said = parser.parse_args(arguments)
    torch.set_num_threads(1)
    music = said.folder / "music"
    recipes = {share: recipe_of(said.recipe, said.weights, music, share, said.steps) for share in said.composed}
    first = next(iter(recipes.values()))
    record(music, first.corpus.seconds)
    kinds = [judged(said.folder / name, first, unseen) for name, unseen in (("like_recordings", True), ("like_the_composer", False))]
    print("| | like the recordings, told their sheet | told another sheet | the composer's, told its sheet | told another sheet |\n|---|---|---|---|---|")

    def row(name: str, prior: Prior) -> None:
        print(f"| {name} | {' | '.join(f'{figure:.3f}' for crops in kinds for figure in nats(prior, crops))} |", flush=True)

    start = started(first)
    assert start
    row("before", start.prior)
    for share, recipe in recipes.items():
        row(f"`composed: {share:g}`", trained(recipe, said.folder / f"composed_{share:g}"))


if __name__ == "__main__":
    main()
