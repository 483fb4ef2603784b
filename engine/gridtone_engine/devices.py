"""Which device torch computes on."""

import torch

from gridtone_engine.engine import EngineError


def choose_device(named: str | None) -> torch.device:
    """The device of that name; without a name, CUDA's first where there is one, else the CPU. Raises EngineError for one that is not here."""
    try:
        device = torch.device(named or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise EngineError(f"torch knows no device {named!r}: name cpu, cuda or, of several, cuda:1") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise EngineError(f"there is no device {named}: torch {torch.__version__} finds {torch.cuda.device_count()} CUDA devices here")
    return device
