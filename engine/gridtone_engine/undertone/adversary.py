"""Fine-tuning of the codec's decoder against discriminators that learn to tell decoded levels from the music's.

An error that is squared is least where what cannot be known is blurred; who has to pass for music draws it sharp. Codes stay what they are, and the
prior with them. Discriminators see levels as pictures at three scales, as those of EnCodec see spectra of several sizes (Défossez et al. 2022);
losses are hinges, and the difference of the discriminators' features, as there.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gridtone_engine.undertone.checkpoints import trained_codec
from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.configs import Recipe
from gridtone_engine.undertone.corpus import Shards
from gridtone_engine.undertone.data import AudioCrops
from gridtone_engine.undertone.losses import relative_error
from gridtone_engine.undertone.train import Trainer, device_of, examine_codec, join

SCALES = (1, 2, 4)
SLOPE = 0.2


class Discriminator(nn.Module):
    """Levels as pictures (batch, 2, spectra, bands) -> what it makes of each place, after the features of every layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        shapes = ((2, width, (1, 2)), (width, width, (2, 2)), (width, width, (1, 2)))
        self.layers = nn.ModuleList(norm(nn.Conv2d(given, made, (3, 5), stride, (1, 2))) for given, made, stride in shapes)
        self.last = norm(nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        features = []
        for layer in self.layers:
            pictures = F.leaky_relu(layer(pictures), SLOPE)
            features.append(pictures)
        return [*features, self.last(pictures)]


class Jury(nn.Module):
    """A discriminator a scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(Discriminator(width) for _ in SCALES)

    def forward(self, levels: Tensor) -> list[list[Tensor]]:
        pictures = levels.unflatten(2, (2, -1)).transpose(1, 2)
        return [judge(F.avg_pool2d(pictures, scale)) for judge, scale in zip(self.discriminators, SCALES, strict=True)]


class Adversary(Trainer):
    """Trains the decoder of a finished codec; its own record is `polish.pt`, the codec's stays."""

    part = "polish"
    crops: AudioCrops

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        settings = recipe.polish
        self.crops = AudioCrops(Shards(folder / "corpus"), recipe)
        codec = trained_codec(recipe, folder)
        device = device_of(recipe)
        join(device)
        torch.manual_seed(recipe.seed)
        self.jury = Jury(settings.jury_width).to(device)  # before its optimiser's state is loaded, which lies where the parameters do
        self.jury_optimiser = torch.optim.AdamW(self.jury.parameters(), lr=settings.learning_rate, betas=(0.5, 0.9))
        super().__init__(recipe, folder, codec, settings.steps, settings.learning_rate, settings.ema_decay)

    @property
    def shape(self) -> Any:
        return self.recipe.codec

    def learn(self) -> dict[str, float]:
        settings, codec = self.recipe.polish, self.model
        assert isinstance(codec, Codec)
        [audio] = self._batch()
        levels = codec.levels(audio)
        with torch.no_grad():
            codes = codec.quantiser.encode(codec.latents(levels))
        with self._half():
            decoded = codec.decode(codes)
        decoded = decoded.float()
        judged = self._judge(levels, decoded.detach())
        with self._half():
            theirs, ours = self.jury(levels), self.jury(decoded)
        fooled = torch.stack([-features[-1].float().mean() for features in ours]).mean()
        alike = torch.stack(
            [_unlike(mine, real) for one, other in zip(ours, theirs, strict=True) for mine, real in zip(one[:-1], other[:-1], strict=True)]
        ).mean()
        error = relative_error(decoded, levels, levels)
        loss = error + settings.adversarial_weight * (fooled + settings.feature_weight * alike)
        loss.backward()
        return {"loss": loss.item(), "error": error.item(), "fooled": fooled.item(), "features": alike.item(), "jury": judged}

    def _judge(self, levels: Tensor, decoded: Tensor) -> float:
        """One step of the discriminators."""
        with self._half():
            theirs, ours = self.jury(levels), self.jury(decoded)
        pairs = [(real[-1].float(), made[-1].float()) for real, made in zip(theirs, ours, strict=True)]
        loss = torch.stack([F.relu(1 - real).mean() + F.relu(1 + made).mean() for real, made in pairs]).mean()
        self.jury_optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._share_gradients(self.jury)
        self.jury_optimiser.step()
        return loss.item()

    def examine(self) -> dict[str, float]:
        assert isinstance(self.average, Codec)
        return examine_codec(self, self.average)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "jury": self.jury.state_dict(), "jury_optimiser": self.jury_optimiser.state_dict()}

    def resume(self, state: dict[str, Any]) -> None:
        super().resume(state)
        if "jury" in state:  # `carry` leaves it out
            self.jury.load_state_dict(state["jury"])
            self.jury_optimiser.load_state_dict(state["jury_optimiser"])


def _unlike(ours: Tensor, theirs: Tensor) -> Tensor:
    theirs = theirs.detach().float()
    return (ours.float() - theirs).abs().mean() / theirs.abs().mean().clamp(min=1e-3)
