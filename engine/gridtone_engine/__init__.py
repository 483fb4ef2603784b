"""Sound out: prompts in, audio out. Usable alone, as a library and from the command line.

An engine takes a batch of prompts and yields finished audio. It knows nothing of power grids: nothing here imports `gridtone` or `gridtone_adapters`.

    from gridtone_engine import Prompt, open_engine

    [track] = open_engine("composer").sample([Prompt("专注、沉稳、有节奏", seconds=60)])
    track.write("focus.wav")

What lives here:

* `prompt.py`   what an engine is asked for: `Prompt`, `Attributes`
* `text/`       from words to attributes, in English and Chinese, with a report of what was understood
* `engine.py`   what every engine offers: `Engine`, `Rendition`, `open_engine`
* `auto.py`     which engine `auto` stands for, and why
* `composer/`   composes and renders on the CPU: the default on any machine
* `jukebox/`    Jukebox (Dhariwal et al. 2020) in today's PyTorch: loads the published checkpoints, whose licence is noncommercial
* `undertone/`  a small model of our own: its weights, what trains them and what plays them

An engine is deterministic: the same prompt with the same seed gives the same samples on the same machine.
"""

from gridtone_engine.auto import AUTO, choose_engine
from gridtone_engine.engine import Engine, EngineError, Progress, PromptError, Rendition, engine_names, engine_options, open_engine
from gridtone_engine.prompt import Attributes, Prompt

__all__ = [
    "AUTO",
    "Attributes",
    "Engine",
    "EngineError",
    "Progress",
    "Prompt",
    "PromptError",
    "Rendition",
    "choose_engine",
    "engine_names",
    "engine_options",
    "open_engine",
]
