"""`gridtone train`: make the corpus, the codec, the prior and the weights that ship, each from one recipe in one folder.

Runs by itself too, where gridtone's application is not installed: `python -m gridtone_engine.undertone.cli codec`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from gridtone_engine.engine import EngineError, Progress

recipe_option = click.option("--recipe", default="small", show_default=True, help="tiny, small, base, or a YAML file that starts from one of them.")
folder_option = click.option("--folder", default=".training", show_default=True, type=click.Path(file_okay=False, path_type=Path), help="Of the run.")
time_option = click.option("--max-minutes", default=float("inf"), type=click.FloatRange(0), help="Stop then; the same command goes on.")


@click.group()
def train() -> None:
    """Train undertone: corpus, codec, prior, export, then evaluate. What was stopped goes on."""


@train.command()
@recipe_option
@folder_option
@time_option
def corpus(recipe: str, folder: Path, max_minutes: float) -> None:
    """Render the music to train on, and the music that is held out; or cut the recipe's own recordings."""
    from gridtone_engine.undertone.configs import read_recipe
    from gridtone_engine.undertone.train import cut_corpus, render_corpus

    chosen, report = read_recipe(recipe), _reporter()
    if chosen.recordings:
        finished, remarks = cut_corpus(chosen, folder, max_minutes, report)
        click.echo("\n".join(remarks))
    else:
        finished = render_corpus(chosen, folder, max_minutes, report)
    _finish(finished, folder)


@train.command()
@recipe_option
@folder_option
@time_option
def codec(recipe: str, folder: Path, max_minutes: float) -> None:
    """Train the codec on the corpus. From its first step on, the prior may be trained beside it."""
    from gridtone_engine.undertone.configs import read_recipe
    from gridtone_engine.undertone.train import CodecTrainer

    _finish(CodecTrainer(read_recipe(recipe), folder).run(max_minutes, _reporter()), folder)


@train.command()
@recipe_option
@folder_option
@time_option
def polish(recipe: str, folder: Path, max_minutes: float) -> None:
    """Fine-tune the codec's decoder against discriminators; the prior stays valid. Worth keeping only if `evaluate` says so."""
    from gridtone_engine.undertone.adversary import Adversary
    from gridtone_engine.undertone.configs import read_recipe

    _finish(Adversary(read_recipe(recipe), folder).run(max_minutes, _reporter()), folder)


@train.command()
@recipe_option
@folder_option
@time_option
def prior(recipe: str, folder: Path, max_minutes: float) -> None:
    """Train the prior on the corpus's codes."""
    from gridtone_engine.undertone.configs import read_recipe
    from gridtone_engine.undertone.train import PriorTrainer

    report = _reporter()
    _finish(PriorTrainer(read_recipe(recipe), folder, report).run(max_minutes, report), folder)


@train.command()
@recipe_option
@folder_option
@click.option("--polished", is_flag=True, help="With the codec as `polish` left it.")
@click.option("-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the weights.")
def export(recipe: str, folder: Path, polished: bool, output: Path) -> None:
    """Write the weights: safetensors for torch, int8 for onnxruntime, the one checked against the other."""
    from gridtone_engine.undertone.configs import read_recipe
    from gridtone_engine.undertone.export import export as write

    for line in write(read_recipe(recipe), folder, output, polished=polished):
        click.echo(line)


@train.command()
@click.option("--weights", type=click.Path(exists=True, file_okay=False, path_type=Path), help="As export writes them; without: those that are shipped.")
@click.option("-o", "--output", default="evaluation", show_default=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for tracks and table.")
@click.option("--prompts", default=40, show_default=True, type=click.IntRange(2), help="In each of two languages.")
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(5, 60), help="Of each track.")
@click.option("--pieces", default=16, show_default=True, type=click.IntRange(1), help="For the codec, of trained and of unseen timbres each.")
@click.option("--long-seconds", default=300.0, show_default=True, type=click.FloatRange(70, 3600), help="Of the track that is watched for drift.")
def evaluate(weights: Path | None, output: Path, prompts: int, seconds: float, pieces: int, long_seconds: float) -> None:
    """Judge the weights by programs from elsewhere, beside the composer. What was made and heard is kept."""
    from gridtone_engine.undertone.engine import Undertone
    from gridtone_engine.undertone.evaluate.run import Size
    from gridtone_engine.undertone.evaluate.run import evaluate as judge
    from gridtone_engine.undertone.evaluate.table import markdown

    size = Size(prompts, seconds, pieces, long_seconds=long_seconds)
    click.echo(markdown(judge(Undertone(weights), output, size, _reporter())))


@train.command()
@click.argument("checkpoint", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File for it.")
def carry(checkpoint: Path, output: Path) -> None:
    """Make CHECKPOINT small, to go on with it on another machine."""
    from gridtone_engine.undertone.checkpoints import carry as write

    write(checkpoint, output)
    click.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


def _reporter() -> Callable[[Progress], None]:
    """A bar that is drawn again where somebody watches; elsewhere a line at every hundredth."""
    last = [-1]

    def report(at: Progress) -> None:
        hundredth = int(100 * at.fraction)
        if sys.stderr.isatty():
            bar = "█" * (hundredth // 4)
            click.echo(f"\r\x1b[K{bar:25} {hundredth:3} %  {at.step}", nl=False, err=True)
        elif hundredth != last[0]:
            click.echo(f"{hundredth:3} %  {at.step}", err=True)
        last[0] = hundredth

    return report


def _finish(finished: bool, folder: Path) -> None:
    click.echo(f"finished, in {folder}" if finished else f"stopped because the time was up; the same command goes on from {folder}")


if __name__ == "__main__":
    try:
        train(prog_name="python -m gridtone_engine.undertone.cli")
    except (EngineError, ValueError, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(1)
