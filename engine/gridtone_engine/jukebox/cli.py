"""`gridtone model`: fetch, list and verify the models of the jukebox engine."""

from collections.abc import Callable
from pathlib import Path

import click

from gridtone_engine.engine import EngineError
from gridtone_engine.jukebox.configs import LICENCE, MODELS
from gridtone_engine.jukebox.engine import DEFAULT_FOLDER, NOTICE

folder_option = click.option("--folder", default=DEFAULT_FOLDER, show_default=True, type=click.Path(file_okay=False, path_type=Path), help="Of models.")


@click.group()
def model() -> None:
    """Models of the jukebox engine: fetch, list, verify."""


@model.command()
@click.argument("name", type=click.Choice(list(MODELS)))
@click.option("--accept-licence", default="", metavar="NAME", help=f"The licence of the published models, by its name: '{LICENCE}'.")
@click.option(
    "--from", "source", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A folder that has the files: OpenAI's or Hugging Face's."
)
@click.option("--dtype", default="float16", show_default=True, type=click.Choice(["float16", "bfloat16", "float32"]), help="Of the weights on disk.")
@folder_option
def get(name: str, accept_licence: str, source: Path | None, dtype: str, folder: Path) -> None:
    """Fetch the published model NAME and convert it once to safetensors. Goes on where an interrupted call stopped."""
    if accept_licence != LICENCE:
        raise EngineError(NOTICE)
    import torch

    from gridtone_engine.jukebox import downloads, weights

    folder = folder.expanduser()
    if source is not None and list(source.glob("pytorch_model*.bin")):
        weights.convert_hugging_face(name, source, folder, getattr(torch, dtype))
    else:
        published = source or folder / "published"
        if source is None:
            for file in downloads.published_files(name):
                if file.name not in downloads.recorded(published):
                    downloads.fetch(file.url, published / file.name, _report(file.name))
                    downloads.record(published, file.name)
        weights.convert_openai(name, published, folder, getattr(torch, dtype))
    click.echo(f"{name} is in {folder}")


def _report(name: str) -> Callable[[int, int | None], None]:
    def report(done: int, total: int | None) -> None:
        share = f" of {total / 1e6:,.0f}" if total else ""
        click.echo(f"\r{name}: {done / 1e6:,.0f}{share} MB", nl=done == total, err=True)

    return report


@model.command("list")
@folder_option
def list_models(folder: Path) -> None:
    """Models that can be fetched, and those that are in the folder."""
    folder = folder.expanduser()
    own = sorted(path.stem for path in folder.glob("*.json"))
    for name in [*MODELS, *own]:
        from gridtone_engine.jukebox import weights

        config, licence = weights.describe(name, folder)
        here = all((folder / f"{part}.safetensors").exists() for part in ["vqvae", *(prior.name for prior in config.priors)])
        click.echo(f"{name:12} {'here' if here else 'not fetched':12} {licence}")


@model.command()
@folder_option
def verify(folder: Path) -> None:
    """Compare the fetched files with their recorded SHA-256, and see that the converted ones open."""
    from gridtone_engine.jukebox import downloads, weights

    folder = folder.expanduser()
    wrong = downloads.verify(folder / "published")
    wrong |= {path.name: "damaged: remove it and run `gridtone model get` again" for path in folder.glob("*.safetensors") if not weights.is_whole(path)}
    for name, problem in sorted(wrong.items()):
        click.echo(f"{name}: {problem}")
    if wrong:
        raise EngineError(f"{len(wrong)} of the files in {folder} are not as they should be")
    click.echo(f"{len(downloads.recorded(folder / 'published'))} fetched files are as recorded, {len(list(folder.glob('*.safetensors')))} converted ones open")
