"""`synthesis.py` in torch, for many tracks at once: on a CUDA device the work of a hop is one graph."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from gridtone_engine.cuda_graph import captured
from gridtone_engine.undertone.configs import CodecConfig
from gridtone_engine.undertone.synthesis import HANN_WIDTH, ITERATIONS, LOOK_AHEAD, LOUDNESS, MOMENTUM, QUIETEST, Floats, early, hann, spreading


class TorchSynthesis:
    """`synthesis.Synthesis` on a device. What one hop leaves to the next stays where it is."""

    @torch.inference_mode()
    def __init__(self, config: CodecConfig, tracks: int, device: str | torch.device) -> None:
        self._device, self._size, self._hop = torch.device(device), config.spectrum_size, config.spectrum_hop
        self._window, self._spreading = (torch.from_numpy(part).to(device) for part in (hann(self._size), spreading(config)))
        bands, bins = self._spreading.shape
        pending, samples = LOOK_AHEAD + 1, LOOK_AHEAD * self._hop + self._size

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(tracks, 2, *shape, dtype=dtype, device=device)

        self._levels, self._done, self._joining = zeros(bands), zeros(self._hop), self._window**2
        self._carrier = 2 * math.pi * self._hop / self._size * torch.arange(bins, dtype=torch.float64, device=device)
        self._turns, self._logarithms = zeros(bins, dtype=torch.float64), zeros(bins, dtype=torch.float64)
        self._magnitudes = zeros(pending, bins)
        self._spectra, self._heard = zeros(pending, bins, dtype=torch.complex64), zeros(pending, bins, dtype=torch.complex64)
        self._settled, self._weight = zeros(samples), torch.zeros(samples, device=device)
        self._settle = captured(self._step, self._device)
        for state in (self._turns, self._logarithms, self._magnitudes, self._spectra, self._heard, self._settled, self._weight):
            state.zero_()
        self._early = early(config)

    @torch.inference_mode()
    def play(self, levels: Floats) -> Floats:
        """As `synthesis.Synthesis.play`."""
        spectra = torch.from_numpy(levels).to(self._device).unflatten(2, (2, -1))
        return self._sound([self._with(spectrum) for spectrum in spectra.unbind(1)])

    @torch.inference_mode()
    def rest(self) -> Floats:
        """As `synthesis.Synthesis.rest`."""
        self._joining.zero_()
        pieces = [self._with(torch.zeros_like(self._levels)) for _ in range(LOOK_AHEAD)]
        last = self._size - (self._size - self._hop) // 2
        return self._sound([*pieces, self._normalised(self._settled)[..., self._hop : last]])

    def _with(self, levels: Tensor) -> Tensor:
        """Levels of the spectrum that comes, (tracks, 2, bands) -> the hop that is complete with it, (tracks, 2, hop)."""
        self._levels.copy_(levels)
        self._settle()
        return self._done.clone()

    def _step(self) -> None:
        """Take in the levels given, settle the oldest spectrum that is pending: the hop that is complete with it is done. Nothing waits for the device."""
        newest = (self._levels @ self._spreading).clamp(min=0) ** (1 / LOUDNESS)
        begun = torch.polar(newest.double(), self._phases(newest, self._spectra[:, :, -1].angle())).to(torch.complex64)
        for pending, joining in ((self._magnitudes, newest), (self._spectra, begun), (self._heard, begun)):
            pending.copy_(torch.cat([pending[:, :, 1:], joining[:, :, None]], dim=2))
        for samples in (self._settled, self._weight):
            samples.copy_(F.pad(samples[..., self._hop :], (0, self._hop)))
        self._weight[-self._size :] += self._joining
        for _ in range(ITERATIONS):
            self._iterate()
        self._settled[..., : self._size] += self._pieces(self._spectra[:, :, 0])
        self._done.copy_(self._normalised(self._settled)[..., : self._hop])

    def _iterate(self) -> None:
        """As `synthesis.Synthesis._iterate`."""
        sound = self._settled.clone()
        for place, piece in enumerate(self._pieces(self._spectra).unbind(2)):
            sound[..., place * self._hop : place * self._hop + self._size] += piece
        heard = torch.fft.rfft(self._normalised(sound).unfold(2, self._size, self._hop) * self._window, norm="ortho")
        ahead = heard + MOMENTUM * (heard - self._heard)
        self._spectra.copy_(self._magnitudes * ahead.sgn())
        self._heard.copy_(heard)

    def _pieces(self, spectra: Tensor) -> Tensor:
        return torch.fft.irfft(spectra, self._size, norm="ortho") * self._window

    def _normalised(self, sound: Tensor) -> Tensor:
        return sound / self._weight.clamp(min=1e-3)

    def _phases(self, magnitudes: Tensor, before: Tensor) -> Tensor:
        """As `synthesis._Gradients.phases`. In 64 bits: over a spectrum they add up to thousands of radians."""
        logarithms = (magnitudes.double() / QUIETEST).clamp(min=1).log()
        turns = self._hop / (HANN_WIDTH * self._size) * torch.gradient(logarithms, dim=-1)[0]
        slopes = math.pi - HANN_WIDTH * self._size / self._hop * (logarithms - self._logarithms)
        across = F.pad((slopes[..., 1:] + slopes[..., :-1]) / 2, (1, 0)).cumsum(-1)
        gone_on = before + self._carrier + (self._turns + turns) / 2
        self._turns.copy_(turns)
        self._logarithms.copy_(logarithms)
        return across + (gone_on - across).gather(-1, nearest_peak(logarithms))

    def _sound(self, pieces: list[Tensor]) -> Floats:
        both = torch.cat([self._done[..., :0], *pieces], dim=2)
        early = min(self._early, both.shape[2])
        self._early -= early
        return torch.stack([both[:, 0] + both[:, 1], both[:, 0] - both[:, 1]], dim=1)[..., early:].cpu().numpy()


def nearest_peak(heights: Tensor) -> Tensor:
    """As `synthesis.nearest_peak`."""
    bins = torch.arange(heights.shape[-1], device=heights.device)
    rising = F.pad(heights, (1, 1), value=math.inf).diff() > 0
    peaks = rising[..., :-1] & ~rising[..., 1:]
    peaks = peaks | ~peaks.any(-1, keepdim=True) & (bins == heights.argmax(-1, keepdim=True))
    before = torch.where(peaks, bins, -1).cummax(-1).values
    after = torch.where(peaks, bins, len(bins)).flip(-1).cummin(-1).values.flip(-1)
    return torch.where(rising[..., 1:], after, before).clamp(after[..., :1], before[..., -1:])
