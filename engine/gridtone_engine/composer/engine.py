"""The composer as an engine: prompts in, renditions out."""

from collections.abc import Callable, Iterator, Sequence

from gridtone_engine.composer.compose import compose
from gridtone_engine.composer.harmony import Key
from gridtone_engine.composer.render import CancelledError, render
from gridtone_engine.engine import EngineError, Progress, PromptError, Rendition
from gridtone_engine.prompt import Attributes, Prompt, check_attributes
from gridtone_engine.text import understand

SAMPLE_RATES = (44_100, 48_000)


class Composer:
    """Composes and renders on one CPU core, at more than thirty times real time. Opening it is cheap."""

    name = "composer"
    model = "composer 1"
    licence = "CC0-1.0"

    def __init__(self, sample_rate: int = 48_000) -> None:
        if sample_rate not in SAMPLE_RATES:
            raise EngineError(f"the composer renders at {' or '.join(map(str, SAMPLE_RATES))} Hz, not at {sample_rate}")
        self.sample_rate = sample_rate

    def sample(
        self,
        prompts: Sequence[Prompt],
        *,
        progress: Callable[[Progress], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Rendition]:
        """Yield one rendition a prompt. Raises PromptError for a prompt that makes no sense: a key or instrument that does not exist, a length or tempo out of
        range."""
        for number, prompt in enumerate(prompts):
            if cancelled():
                return
            understanding = understand(prompt)
            if problem := _problem(prompt, understanding.attributes):
                raise PromptError(problem, number)
            step = f"rendering track {number + 1} of {len(prompts)}"

            def report(fraction: float, number: int = number, step: str = step) -> None:
                progress(Progress((number + fraction) / len(prompts), step))

            report(0.0)
            score = compose(understanding.attributes, prompt.seconds, prompt.seed)
            try:
                samples = render(score, self.sample_rate, progress=report, cancelled=cancelled)
            except CancelledError:
                return
            yield Rendition(
                prompt=prompt,
                samples=samples,
                sample_rate=self.sample_rate,
                attributes=score.attributes,
                understanding=understanding,
                bar_seconds=score.bar_seconds,
                first_bar_seconds=0.0,
                engine=self.name,
                model=self.model,
                licence=self.licence,
            )


def _problem(prompt: Prompt, asked: Attributes) -> str:
    """Why a prompt, of which `asked` was understood, cannot be played; empty if it can."""
    if prompt.continue_from is not None:
        return f"the composer cannot continue {prompt.continue_from}: it plays from scores, not from audio. Another engine may, such as jukebox"
    if not 5 <= prompt.seconds <= 3600:
        return f"a track of {prompt.seconds:g} s was asked for; the composer makes 5 to 3600 s"
    try:
        check_attributes(asked)
        if asked.key is not None:
            Key.parse(asked.key)
    except ValueError as error:
        return str(error)
    return ""
