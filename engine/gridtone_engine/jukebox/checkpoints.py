"""The published weights under our names: OpenAI's files, and Hugging Face's copies of them.

Each layout is a list of patterns that turn a name of ours into theirs. Loading fails if a name is left over on either side.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from gridtone_engine.engine import EngineError
from gridtone_engine.jukebox.configs import VQVAEConfig
from gridtone_engine.jukebox.prior import Prior
from gridtone_engine.jukebox.vqvae import VQVAE

Rule = tuple[str, str | Callable[[re.Match[str]], str]]


class CheckpointError(EngineError):
    """Weights that do not fit the model, or cannot be read: the message says which and why."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How somebody else names the weights of a prior and of a VQ-VAE."""

    name: str
    prior: tuple[Rule, ...]
    vqvae: Callable[[VQVAEConfig], tuple[Rule, ...]]
    transposed: re.Pattern[str]
    """Their names of matrices that they keep as (in, out)."""
    tied_output: str
    """What they call the output layer, which is there under its own name even where it is the embedding."""


_LAYERS: tuple[Rule, ...] = (
    (r"transformer\.layers\.", "transformer._attn_mods."),
    (r"attention\.(query_key_value|query)\.", "attn.c_attn."),
    (r"attention\.key_value\.", "attn.c_enc_kv."),
    (r"attention\.out\.", "attn.c_proj."),
    (r"mlp_in\.", "mlp.c_fc."),
    (r"mlp_out\.", "mlp.c_proj."),
    (r"positions$", "pos_emb.pos_emb"),
)


def _openai_stack(stack: str) -> tuple[Rule, ...]:
    """Names inside convolution blocks are numbers: the projection comes first in a decoder (or conditioner), so its stages count from 1."""
    return (
        (r"\.project\.", ".model.0."),
        (r"\.residual\.(\d+)\.(\d+)\.dilated", lambda m: f".model.{int(m[1]) + 1}.0.{stack}.{m[2]}.model.1"),
        (r"\.residual\.(\d+)\.(\d+)\.mix", lambda m: f".model.{int(m[1]) + 1}.0.{stack}.{m[2]}.model.3"),
        (r"\.stretch\.(\d+)", lambda m: f".model.{int(m[1]) + 1}.1"),
    )


def _openai_vqvae(config: VQVAEConfig) -> tuple[Rule, ...]:
    """An encoder's projection comes after all its stages."""
    return (
        (r"^levels\.(\d+)\.codebook\.vectors", r"bottleneck.level_blocks.\1.k"),
        (r"^levels\.(\d+)\.output", r"decoders.\1.out"),
        (r"^levels\.(\d+)\.encoder\.(\d+)\.shrink\.(\d+)", r"encoders.\1.level_blocks.\2.model.\3.0"),
        (r"^levels\.(\d+)\.encoder\.(\d+)\.residual\.(\d+)\.(\d+)\.dilated", r"encoders.\1.level_blocks.\2.model.\3.1.model.\4.model.1"),
        (r"^levels\.(\d+)\.encoder\.(\d+)\.residual\.(\d+)\.(\d+)\.mix", r"encoders.\1.level_blocks.\2.model.\3.1.model.\4.model.3"),
        (r"^levels\.(\d+)\.encoder\.(\d+)\.project", lambda m: f"encoders.{m[1]}.level_blocks.{m[2]}.model.{config.downs[int(m[2])]}"),
        (r"^levels\.(\d+)\.decoder\.(\d+)", r"decoders.\1.level_blocks.\2"),
        *_openai_stack("model"),
    )


OPENAI = Layout(
    "openai",
    prior=(
        (r"^(?=embedding|positions|transformer|output)", "prior."),
        (r"^lyrics_encoder\.project\.", "prime_state_proj."),
        (r"^lyrics_encoder\.norm\.", "prime_state_ln."),
        (r"^lyrics_encoder\.next_character\.", "prime_x_out."),
        (r"^lyrics_encoder\.start", "prime_prior.start_token"),
        (r"^lyrics_encoder\.", "prime_prior."),
        (r"^label_conditioner\.artists\.", "y_emb.artist_emb.emb."),
        (r"^label_conditioner\.genres\.", "y_emb.bow_genre_emb.emb."),
        (r"^label_conditioner\.total_length\.vectors\.", "y_emb.total_length_emb.emb."),
        (r"^label_conditioner\.(absolute|relative)\.vectors\.", r"y_emb.\1_pos_emb.emb."),
        (r"^code_conditioner\.embedding\.", "conditioner_blocks.0.x_emb."),
        (r"^code_conditioner\.norm\.", "conditioner_blocks.0.ln."),
        (r"^code_conditioner\.upsample\.", "conditioner_blocks.0.cond."),
        *_openai_stack("blocks"),
        *_LAYERS,
        (r"((?:attn|mlp)\.c_\w+\.|prime_state_proj\.)(w|b)(?:eight|ias)$", r"\1\2"),
        (r"attention_norm\.", "ln_0."),
        (r"mlp_norm\.", "ln_1."),
        (r"(prior\.)embedding\.", r"\1x_emb."),
        (r"output\.", "x_out."),
    ),
    vqvae=_openai_vqvae,
    transposed=re.compile(r"\.w$"),
    tied_output="prior.x_out.weight",
)

_HUGGING_FACE_STACK: tuple[Rule, ...] = (
    (r"\.project\.", ".proj_in."),
    (r"\.residual\.(\d+)\.(\d+)\.dilated", lambda m: f".upsample_block.{2 * int(m[1])}.resnet_block.{m[2]}.conv1d_1"),
    (r"\.residual\.(\d+)\.(\d+)\.mix", lambda m: f".upsample_block.{2 * int(m[1])}.resnet_block.{m[2]}.conv1d_2"),
    (r"\.stretch\.(\d+)", lambda m: f".upsample_block.{2 * int(m[1]) + 1}"),
)

_HUGGING_FACE_VQVAE: tuple[Rule, ...] = (
    (r"^levels\.(\d+)\.codebook\.vectors", r"bottleneck.level_blocks.\1.codebook"),
    (r"^levels\.(\d+)\.output", r"decoders.\1.out"),
    (r"^levels\.(\d+)\.encoder\.(\d+)\.shrink\.(\d+)", lambda m: f"encoders.{m[1]}.level_blocks.{m[2]}.downsample_block.{2 * int(m[3])}"),
    (
        r"^levels\.(\d+)\.encoder\.(\d+)\.residual\.(\d+)\.(\d+)\.(dilated|mix)",
        lambda m: f"encoders.{m[1]}.level_blocks.{m[2]}.downsample_block.{2 * int(m[3]) + 1}.resnet_block.{m[4]}.conv1d_{1 if m[5] == 'dilated' else 2}",
    ),
    (r"^levels\.(\d+)\.encoder\.(\d+)\.project", r"encoders.\1.level_blocks.\2.proj_out"),
    (r"^levels\.(\d+)\.decoder\.(\d+)", r"decoders.\1.level_blocks.\2"),
    *_HUGGING_FACE_STACK,
)

HUGGING_FACE = Layout(
    "huggingface",
    prior=(
        (r"^(?=embedding|positions|transformer|output)", "prior."),
        (r"^lyrics_encoder\.project\.", "encoder.proj_in."),
        (r"^lyrics_encoder\.norm\.", "encoder.final_layer_norm."),
        (r"^lyrics_encoder\.next_character\.", "encoder.lm_head."),
        (r"^lyrics_encoder\.start", "encoder.start_token"),
        (r"^lyrics_encoder\.", "encoder."),
        (r"^label_conditioner\.artists\.", "metadata_embedding.artist_emb."),
        (r"^label_conditioner\.genres\.", "metadata_embedding.bow_genre_emb."),
        (r"^label_conditioner\.total_length\.vectors\.", "metadata_embedding.total_length_emb.emb."),
        (r"^label_conditioner\.(absolute|relative)\.vectors\.", r"metadata_embedding.\1_pos_emb.emb."),
        (r"^code_conditioner\.embedding\.", "conditioner_blocks.embed_tokens."),
        (r"^code_conditioner\.norm\.", "conditioner_blocks.layer_norm."),
        (r"^code_conditioner\.upsample\.", "conditioner_blocks.upsampler."),
        *_HUGGING_FACE_STACK,
        *_LAYERS,
        (r"attention_norm\.", "layer_norm_0."),
        (r"mlp_norm\.", "layer_norm_1."),
        (r"^((?:prior|encoder)\.)embedding\.", r"\1embed_tokens."),
        (r"output\.", "fc_proj_out."),
    ),
    vqvae=lambda _: _HUGGING_FACE_VQVAE,
    transposed=re.compile(r"\.(c_attn|c_enc_kv|c_proj|c_fc|encoder\.proj_in)\.weight$|^encoder\.proj_in\.weight$"),
    tied_output="prior.fc_proj_out.weight",
)


def foreign_names(module: Prior | VQVAE, layout: Layout) -> dict[str, str]:
    """Our name of every weight in `module` -> theirs."""
    rules = layout.prior if isinstance(module, Prior) else layout.vqvae(module.config)
    names = {}
    for ours in module.state_dict():
        theirs = ours
        for pattern, replacement in rules:
            theirs = re.sub(pattern, replacement, theirs)
        names[ours] = theirs
    return names


def translate(weights: Mapping[str, Tensor], module: Prior | VQVAE, layout: Layout) -> dict[str, Tensor]:
    """Foreign weights under our names and in our shapes, for `module.load_state_dict`. `module` may be on the meta device.

    Raises CheckpointError if a weight is missing, left over, or of another shape.
    """
    names = foreign_names(module, layout)
    alias = {layout.tied_output} if isinstance(module, Prior) and module.output is None else set()
    missing = sorted(set(names.values()) - set(weights))
    left_over = sorted(set(weights) - set(names.values()) - alias)
    if missing or left_over:
        raise CheckpointError(f"these are not the weights of this model: missing {missing[:3] or 'none'}, left over {left_over[:3] or 'none'}")
    translated = {}
    for ours, shape in ((name, tensor.shape) for name, tensor in module.state_dict().items()):
        theirs = names[ours]
        tensor = weights[theirs]
        translated[ours] = tensor.T.contiguous() if layout.transposed.search(theirs) else tensor
        if translated[ours].shape != shape:
            raise CheckpointError(f"{theirs} has shape {tuple(tensor.shape)}; this model needs {tuple(shape)} for {ours}")
    return translated
