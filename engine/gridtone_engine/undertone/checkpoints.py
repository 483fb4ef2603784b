"""What a training keeps on disk, and what of it is carried elsewhere."""

from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from gridtone_engine.engine import EngineError
from gridtone_engine.undertone import engine
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.configs import OURS, Recipe, read_shapes
from gridtone_engine.undertone.prior import Prior
from gridtone_engine.undertone.torch_model import TorchModel


def load_checkpoint(path: Path, shape: dict[str, Any], device: torch.device | str = "cpu") -> dict[str, Any]:
    """Raises EngineError if the checkpoint is of another shape, or there is none."""
    if not path.exists():
        raise EngineError(f"there is no {path}: train it first, gridtone train {path.stem}")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    if state["shape"] != shape:
        raise EngineError(f"{path} holds a model of another shape ({state['shape']}); train in another folder, or remove it")
    return state


def started(recipe: Recipe) -> TorchModel | None:
    """The weights that a recipe goes on from, if any, on the CPU. Raises EngineError if they cannot be read, or are of another shape than the recipe's."""
    if not recipe.start:
        return None
    folder = engine.SHIPPED if recipe.start == OURS else Path(recipe.start)
    codec, prior = read_shapes(folder)
    pairs = [("codec", asdict(recipe.codec), asdict(codec))]
    if recipe.start_prior:
        pairs.append(("prior", asdict(recipe.prior), asdict(prior)))
    differing = [
        f"{part}.{name} is {theirs[name]}, the recipe's {value}" for part, ours, theirs in pairs for name, value in ours.items() if theirs[name] != value
    ]
    if differing:
        raise EngineError(f"{folder} holds weights of another shape: {'; '.join(differing)}. Let the recipe be `from` the one that made them")
    return TorchModel.load(folder, "cpu", recipe.threads)


def carry(path: Path, output: Path) -> None:
    """Write what of a checkpoint is worth carrying to another machine: the average in 16 bits, without the optimiser. Training goes on from it, if not as
    exactly. Raises EngineError for a file that is none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        average = {name: value.half() if value.is_floating_point() else value for name, value in state["average"].items()}
        kept = {"shape": state["shape"], "step": state["step"], "average": average}
    except (KeyError, RuntimeError, EOFError, TypeError, UnpicklingError) as error:
        raise EngineError(f"{path} is no checkpoint of `gridtone train`: {error}") from error
    output.parent.mkdir(parents=True, exist_ok=True)
    torch.save(kept, output)


def trained_codec(recipe: Recipe, folder: Path, *, polished: bool = False) -> Codec:
    """The codec's moving average; `polished`, as the adversarial fine-tune left it."""
    codec = Codec(recipe.codec)
    codec.load_state_dict(load_checkpoint(folder / ("polish.pt" if polished else "codec.pt"), asdict(recipe.codec))["average"])
    return codec


def trained_prior(recipe: Recipe, folder: Path) -> Prior:
    prior = Prior(recipe.prior)
    prior.load_state_dict(load_checkpoint(folder / "prior.pt", asdict(recipe.prior))["average"])
    return prior
