"""codec and prior run by torch: on a GPU, in training, and as what the exported model is checked against."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from gridtone_engine.engine import EngineError
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.conditions import Conditions
from gridtone_engine.undertone.configs import read_shapes
from gridtone_engine.undertone.generate import Codes, Floats
from gridtone_engine.undertone.prior import Prior, rotations

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
    """The last `window` keys and values of every row, in a ring that is made once."""

    def __init__(self, prior: Prior, rows: int) -> None:
        config, weight = prior.config, prior.norm.weight
        self.prior, self.head_width, self.dtype = prior, config.width // config.heads, weight.dtype
        shape = (config.depth, rows, config.heads, config.window, self.head_width)
        self.keys, self.values = torch.zeros(shape, device=weight.device, dtype=weight.dtype), torch.zeros(shape, device=weight.device, dtype=weight.dtype)
        self.rows, self.places = torch.arange(rows, device=weight.device), torch.arange(config.window, device=weight.device)

    @torch.inference_mode()
    def step(self, codes: Codes, condition: Floats, sheets: Floats, positions: Codes) -> Floats:
        device = self.keys.device
        at = torch.from_numpy(positions).to(device)
        cos, sin = rotations(at[:, None], self.head_width, self.dtype)
        mask = torch.where(self.places < at[:, None], 0.0, -torch.inf).to(self.dtype)
        told, sheet = (torch.from_numpy(part).to(device, self.dtype) for part in (condition, sheets))
        logits, keys, values = self.prior.step(torch.from_numpy(codes).to(device), told, sheet, cos, sin, self.keys, self.values, mask)
        place = at % self.keys.shape[3]
        self.keys[:, self.rows, :, place] = keys.transpose(0, 1)
        self.values[:, self.rows, :, place] = values.transpose(0, 1)
        return logits.float().cpu().numpy()


class TorchModel:
    def __init__(self, codec: Codec, prior: Prior) -> None:
        self.codec, self.prior = codec.eval(), prior.eval()
        self.codec_config, self.prior_config = codec.config, prior.config
        self._device, self._dtype = codec.window.device, prior.norm.weight.dtype

    @classmethod
    def load(cls, folder: Path, device: str | None = None, threads: int = 1) -> "TorchModel":
        """Weights as `gridtone train export` wrote them, on `device` (None: cuda where there is one), the prior in bfloat16 on cuda.

        Raises EngineError for files that are something else.
        """
        torch.set_num_threads(threads)
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        codec_config, prior_config = read_shapes(folder)
        codec, prior = Codec(codec_config), Prior(prior_config)
        try:
            together(codec, prior).load_state_dict(unpacked(load_file(folder / WEIGHTS)))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise EngineError(f"undertone: {folder / WEIGHTS} cannot be loaded: {error}") from error
        return cls(codec.to(chosen), prior.to(chosen, torch.bfloat16 if chosen.startswith("cuda") else torch.float32))

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
