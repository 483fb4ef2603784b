"""codec and prior run by torch: on a GPU, in training, and as what the exported model is checked against."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gridtone_engine.cuda_graph import captured
from gridtone_engine.devices import choose_device
from gridtone_engine.engine import EngineError
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.conditions import Conditions
from gridtone_engine.undertone.configs import read_shapes
from gridtone_engine.undertone.generate import Codes, Doubles, Floats, guided
from gridtone_engine.undertone.lead_sheet import SHEET_WIDTH
from gridtone_engine.undertone.prior import Prior, rotations
from gridtone_engine.undertone.torch_synthesis import TorchSynthesis

WEIGHTS = "weights.safetensors"
LARGE = 16_384
"""Numbers of a tensor, from which on it is kept in fewer bits."""
ROW_SCALES = ".row_scales"


def together(codec: Codec, prior: Prior) -> nn.ModuleDict:
    """Both, their weights named as in the file."""
    return nn.ModuleDict({"codec": codec, "prior": prior})


def packed(networks: nn.Module) -> dict[str, Tensor]:
    """What is kept of weights: linear layers, which onnxruntime computes in 8 bits, in int8, transposed as it reads them and with a scale for each row; other
    large tensors in 16 bits, small ones in 32.
    """
    linear = {f"{name}.weight" for name, part in networks.named_modules() if isinstance(part, nn.Linear)}
    kept = {}
    for name, weight in networks.state_dict().items():
        if weight.numel() < LARGE:
            kept[name] = weight
        elif name in linear:
            scales = weight.abs().amax(1, keepdim=True).clamp(min=1e-30) / 127
            kept[name] = (weight / scales).round().to(torch.int8).T.contiguous()
            kept[name + ROW_SCALES] = scales
        else:
            kept[name] = weight.half()
    return kept


def unpacked(kept: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.T * kept[name + ROW_SCALES] if weight.dtype == torch.int8 else weight for name, weight in kept.items() if ROW_SCALES not in name}


class TorchSteps:
    """The last `window` keys and values of every row, in a ring. All that a step reads and writes is made once, so that it can be captured."""

    def __init__(self, prior: Prior, rows: int) -> None:
        config, device, dtype = prior.config, prior.norm.weight.device, prior.norm.weight.dtype
        self.prior, self.head_width = prior, config.width // config.heads
        self.rows, self.places = torch.arange(rows, device=device), torch.arange(config.window, device=device)
        self.keys, self.values = torch.zeros(2, config.depth, rows, config.heads, config.window, self.head_width, device=device, dtype=dtype)
        self.codes = torch.zeros(rows, config.codebooks, device=device, dtype=torch.long)
        self.condition = torch.zeros(rows, config.depth * config.width, device=device, dtype=dtype)
        self.sheets = torch.zeros(rows, len(config.around), SHEET_WIDTH, device=device, dtype=dtype)
        self.positions = torch.zeros(rows, device=device, dtype=torch.long)
        self.logits = torch.zeros(rows, config.codebooks, config.codes, device=device)
        self._run = captured(self._step, device)

    @torch.inference_mode()
    def _step(self) -> None:
        at, window, dtype = self.positions, len(self.places), self.keys.dtype
        cos, sin = rotations(at[:, None], self.head_width, dtype)
        mask = torch.where(self.places < at[:, None], 0.0, -torch.inf).to(dtype)
        logits, keys, values = self.prior.step(self.codes, self.condition, self.sheets, cos, sin, self.keys, self.values, mask)
        self.keys[:, self.rows, :, at % window] = keys.transpose(0, 1)
        self.values[:, self.rows, :, at % window] = values.transpose(0, 1)
        self.logits.copy_(logits)

    @torch.inference_mode()
    def step(self, codes: Codes, condition: Floats, sheets: Floats, positions: Codes) -> Tensor:
        told = (codes, condition, sheets, positions)
        for kept, given in zip((self.codes, self.condition, self.sheets, self.positions), told, strict=True):
            kept.copy_(torch.from_numpy(given))
        self._run()
        return self.logits

    @torch.inference_mode()
    def choose(self, logits: Tensor, pushes: Doubles, temperatures: Doubles, draws: Doubles, top_p: float) -> Codes:
        pushed, temperature, drawn = (torch.from_numpy(part).to(logits.device) for part in (pushes, temperatures, draws))
        return choose(guided(logits, pushed, temperature), drawn, top_p).cpu().numpy()


def choose(logits: Tensor, draws: Tensor, top_p: float = 1.0) -> Tensor:
    """`generate.choose`, in torch."""
    ordered, order = logits.double().sort(dim=-1, descending=True, stable=True)
    chances = ordered.softmax(dim=-1)
    chances = torch.where(chances.cumsum(dim=-1) - chances >= top_p, 0.0, chances)
    reached = chances.cumsum(dim=-1)
    place = (reached <= draws[..., None] * reached[..., -1:]).sum(dim=-1, keepdim=True)
    return order.gather(-1, place)[..., 0]


class TorchModel:
    def __init__(self, codec: Codec, prior: Prior) -> None:
        self.codec, self.prior = codec.eval(), prior.eval()
        self.codec_config, self.prior_config = codec.config, prior.config
        self._device, self._dtype = codec.window.device, prior.norm.weight.dtype
        self.tracks_at_once = 64 if self._device.type == "cuda" else 1

    @classmethod
    def load(cls, folder: Path, device: str | None = None, threads: int = 1) -> "TorchModel":
        """Weights as `gridtone train export` wrote them, on `device` (None: cuda where there is one), the prior in bfloat16 on cuda.

        Raises EngineError for files that are something else.
        """
        torch.set_num_threads(threads)
        chosen = choose_device(device)
        codec_config, prior_config = read_shapes(folder)
        codec, prior = Codec(codec_config), Prior(prior_config)
        try:
            together(codec, prior).load_state_dict(unpacked(load_file(folder / WEIGHTS)))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise EngineError(f"undertone: {folder / WEIGHTS} cannot be loaded: {error}") from error
        return cls(codec.to(chosen), prior.to(chosen, torch.bfloat16 if chosen.type == "cuda" else torch.float32))

    @torch.inference_mode()
    def encode(self, audio: Floats) -> Codes:
        return self.codec.encode(torch.from_numpy(audio).to(self._device)).cpu().numpy()

    @torch.inference_mode()
    def decode(self, codes: Codes) -> Floats:
        return self.codec.decode(torch.from_numpy(np.ascontiguousarray(codes)).to(self._device)).float().cpu().numpy()

    @torch.inference_mode()
    def condition(self, asked: Conditions) -> Floats:
        steps, instruments, sentence = (torch.from_numpy(part).to(self._device) for part in asked.parts)
        return self.prior.condition(steps, instruments.to(self._dtype), sentence.to(self._dtype)).float().cpu().numpy()

    def steps(self, rows: int) -> TorchSteps:
        return TorchSteps(self.prior, rows)

    def synthesis(self, tracks: int) -> TorchSynthesis:
        return TorchSynthesis(self.codec_config, tracks, self._device)
