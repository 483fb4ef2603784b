"""How far decoded levels are from the music's."""

from torch import Tensor


def relative_error(ours: Tensor, theirs: Tensor, over: Tensor) -> Tensor:
    """Squared error as a share of the squares of the levels it is `over`, piece by piece, then their mean. All (batch, ...)."""
    return ((ours - theirs).square().flatten(1).sum(1) / over.square().flatten(1).sum(1).clamp(min=1e-2)).mean()
