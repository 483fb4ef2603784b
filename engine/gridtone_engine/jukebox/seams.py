"""Whether one hears where windows meet."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def seams(audio: Tensor, sample_rate: int, boundaries: Sequence[int]) -> float:
    """How much rougher audio (samples,) is at `boundaries` (in samples) than elsewhere: ratio of the median spectral flux there to that of all frames.

    1 means that the seams do not show; window-parallel upsampling is judged by it.
    """
    size, hop = 1024, 256
    spectrum = torch.stft(F.pad(audio, (size // 2, size // 2)), size, hop, window=torch.hann_window(size), center=False, return_complex=True).abs()
    flux = (spectrum[:, 1:] - spectrum[:, :-1]).clamp(min=0).sum(0)
    at_seams = torch.stack([flux[max(0, b // hop - 2) : b // hop + 2].max() for b in boundaries])
    everywhere = F.max_pool1d(flux[None], 4, stride=1)[0]
    return (at_seams.median() / everywhere.median()).item()
