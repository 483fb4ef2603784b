"""transformers' Jukebox in the shape of a configuration of ours, for tests and benchmarks that stand it beside ours."""

import torch
from torch import nn
from transformers.models.deprecated.jukebox.configuration_jukebox import JukeboxPriorConfig
from transformers.models.deprecated.jukebox.modeling_jukebox import JukeboxPrior

from gridtone_engine.jukebox.configs import ConditionerConfig, PriorConfig, TransformerConfig

PATTERN = {2: "raw_column_previous_row_attention", 10: "large_separated_enc_dec_w_lyrics", 12: "enc_dec_with_lyrics"}


def their_transformer(config: TransformerConfig) -> dict[str, object]:
    return {
        "hidden_size": config.width,
        "num_layers": config.depth,
        "n_heads": config.heads,
        "n_ctx": config.context,
        "blocks": config.blocks,
        "attention_pattern": PATTERN[config.attention_order],
        "attention_multiplier": config.attention_share,
        "mlp_multiplier": config.mlp_share,
        "mask": True,
    }


def their_prior(config: PriorConfig) -> JukeboxPrior:
    """The oracle in the shape of `config`. Its levels count from the top."""
    conditioner = config.conditioner or ConditionerConfig(downs=0)
    lyrics = config.lyrics
    return JukeboxPrior(
        JukeboxPriorConfig(
            **{**their_transformer(config.transformer), "n_ctx": config.codes_context},
            level=2 - config.level,
            music_vocab_size=config.codes,
            metadata_dims=[config.labels.genres, config.labels.artists],
            max_nb_genres=config.labels.genres_at_most,
            timing_dims=config.labels.timing_bins or 8,
            min_duration=config.labels.shortest_seconds,
            max_duration=config.labels.longest_seconds,
            nb_relevant_lyric_tokens=lyrics.characters if lyrics else 0,
            lyric_vocab_size=lyrics.vocabulary if lyrics else 80,
            is_encoder_decoder=bool(config.lyrics_in_sequence),
            encoder_config={**their_transformer(lyrics.encoder), "nb_relevant_lyric_tokens": lyrics.characters} if lyrics and lyrics.encoder else None,
            merged_decoder=not config.tied_output,
            res_conv_width=conditioner.width,
            res_conv_depth=conditioner.depth,
            res_dilation_growth_rate=conditioner.dilation_growth,
            res_dilation_cycle=conditioner.dilation_cycle,
            conv_res_scale=conditioner.residual_scale,
            # theirs index the halvings by their own level, which counts from the top; two of the three are equal, so only the first one matters
            res_downs_t=[3, 2, 2],
            res_strides_t=[2, 2, 2],
        )
    ).eval()


def fill(module: nn.Module, seed: int = 0) -> None:
    """Weights of a size that keeps every part of the model audible: theirs are left uninitialised."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        random = torch.randn(tensor.shape, generator=generator)
        if "norm" in name and name.endswith("weight"):
            random = 1 + 0.1 * random
        elif tensor.dim() > 1 and "codebook" not in name:
            random *= 0.7 / max(1, tensor[0].numel() if tensor.dim() == 3 else tensor.shape[0]) ** 0.5
        tensor.data = random
