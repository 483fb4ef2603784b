"""`gridtone generate`: one track from a text."""

import sys
from pathlib import Path
from typing import Any

import click

from gridtone.cli.common import console, progress_bar

FORMATS = (".wav", ".flac", ".ogg", ".mp3")


def options_said(engine: str, pairs: tuple[str, ...], named: dict[str, Any]) -> dict[str, Any]:
    """Of the engine: those that have a flag of their own here, and `NAME=VALUE` with values as YAML reads them."""
    from ruamel.yaml import YAML

    from gridtone_engine import engine_options

    options = {name: value for name, value in named.items() if value is not None}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--option")
        options[name] = YAML(typ="safe").load(value)
    if options.get("draft") and "keep_codes" in engine_options(engine):
        options.setdefault("keep_codes", True)  # or --start-level would have nothing to begin from
    return options


@click.command()
@click.argument("text", default="")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(1, 3600), help="Length of the track.")
@click.option(
    "-o", "--output", default="track.wav", show_default=True, type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), help="wav, flac, ogg or mp3."
)
@click.option("--engine", default="composer", show_default=True, help="Which engine makes it.")
@click.option("--model", help="Which of the engine's models.")
@click.option("--accept-licence", metavar="NAME", help="The licence of the model, by its name, where the engine asks for it.")
@click.option("--stream", "streamed", is_flag=True, help="Write sound while it is sampled, as WAV; `-o -` is the standard output. For engines that can.")
@click.option("--prime", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Audio to continue, for engines that can.")
@click.option("--draft", is_flag=True, default=None, help="Rough and fast, for engines that can; what was sampled is kept, to be taken further.")
@click.option("--start-level", type=click.IntRange(0), help="Begin below a draft of the same text, seconds and seed: 1 is below the top of three levels.")
@click.option("--option", "pairs", multiple=True, metavar="NAME=VALUE", help="Any other option of the engine, such as batch=4. May be given several times.")
@click.option("--seed", default=0, show_default=True, help="Another seed, another track.")
@click.option("--tempo", "tempo_bpm", type=click.FloatRange(30, 200), help="Beats a minute; wins over the text.")
@click.option("--key", help="Such as 'D minor' or 'F# dorian'; wins over the text.")
@click.option("--energy", type=click.FloatRange(0, 1), help="0 still to 1 driving; wins over the text.")
@click.option("--brightness", type=click.FloatRange(0, 1), help="0 dark to 1 bright; wins over the text.")
@click.option("--density", type=click.FloatRange(0, 1), help="0 sparse to 1 busy; wins over the text.")
@click.option("--instrument", "instruments", multiple=True, help="May be given several times; wins over the text.")
def generate(
    text: str,
    seconds: float,
    output: Path,
    engine: str,
    model: str | None,
    accept_licence: str | None,
    streamed: bool,
    prime: Path | None,
    draft: bool | None,
    start_level: int | None,
    pairs: tuple[str, ...],
    seed: int,
    **attributes: object,
) -> None:
    """Make one track from TEXT, in English or Chinese."""
    from gridtone.cli.streaming import STDOUT, stream
    from gridtone_engine import Attributes, Prompt, choose_engine, open_engine

    if streamed and output != STDOUT and output.suffix != ".wav":
        raise click.BadParameter(f"{output}: a stream is written as WAV; name a file .wav, or - for the standard output")
    if not streamed and output.suffix not in FORMATS:
        raise click.BadParameter(f"{output}: the suffix says no format that can be written; use one of {', '.join(FORMATS)}")
    if not output.parent.is_dir():
        raise click.BadParameter(f"{output}: there is no folder {output.parent}")
    prompt = Prompt(text, seconds, seed, Attributes(**attributes), continue_from=prime)  # type: ignore[arg-type]
    named = {"model": model, "accept_licence": accept_licence, "draft": draft, "start_level": start_level}
    options = options_said(engine, pairs, named)
    opened = open_engine(engine, **options)
    if why := choose_engine(engine, options).why:
        console.print(f"auto is {why}", markup=False)
    if streamed:
        stream(opened, prompt, output)
        return

    from gridtone.gate.check import check
    from gridtone.gate.finish import finish

    try:
        with progress_bar() as bar:
            task = bar.add_task("starting", total=1.0)
            [rendition] = opened.sample([prompt], progress=lambda at: bar.update(task, completed=at.fraction, description=at.step))
    except KeyboardInterrupt:
        console.print("stopped: the same command takes up what the engine kept of this track, if it keeps any, as jukebox does")
        sys.exit(130)
    rendition = rendition.with_samples(finish(rendition.samples, rendition.sample_rate))
    report = check(rendition.samples, rendition.sample_rate)
    rendition.write(output)

    for phrase in rendition.understanding.understood:
        console.print(f"  [green]understood[/] {phrase.text} → {phrase.meaning}")
    for ignored in rendition.understanding.ignored:
        console.print(f"  [yellow]not understood[/] {ignored}")
    for failure in report.failures:
        console.print(f"  [red]gate[/] {failure.message}")
    played = rendition.attributes
    tempo = f"{played.tempo_bpm:.0f} bpm" if played.tempo_bpm else "free tempo"
    console.print(f"{rendition.seconds:.0f} s, {tempo}, {played.key or 'no key'}, {report.loudness_lufs:.1f} LUFS, licence {rendition.licence}")
    click.echo(output)
