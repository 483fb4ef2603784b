"""Where undertone's codebooks cut the spectrum, and what more of them give: `python tools/undertone_shares.py [--run .training] [--middle 22 30 36 44]`.

Of all ways to cut the bands of the middle (and of the sides) into as many shares, dynamic programming finds the one that loses least at 10 bits a share and
frame, if the levels were Gaussian: reverse water-filling on their covariance (Cover and Thomas, Elements of Information Theory, 10.3.3). For each number of
shares it prints where they begin, as `configs.MIDDLE_HZ` has it, and how many notes basic-pitch hears again after rounding, without any decoder: onset F1 on
held-out pieces. The run's corpus has to be there (`gridtone train corpus`); some ten minutes on one core.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from gridtone_engine.undertone.codec import Codec
from gridtone_engine.undertone.configs import RECIPES, SIDE_HZ, CodecConfig
from gridtone_engine.undertone.corpus import SAMPLE_RATE, Shards
from gridtone_engine.undertone.evaluate.hearing import notes, onset_f1
from gridtone_engine.undertone.synthesis import synthesised

BITS = 10.0
CROPS, CROP_SAMPLES = 768, 81_920
EDGE_BANDS, WIDEST_BANDS = 2, 150
"""Shares begin at every second band, and are no wider than this."""
PIECES, SECONDS = 8, 10


def loss(variances: NDArray[np.float64], bits: float = BITS) -> float:
    """Least mean squared error of a Gaussian with these variances, (n,), in as many bits: the components above the water get all of them."""
    heights = np.sort(variances[variances > 1e-9])[::-1]
    logarithms = np.log2(heights).cumsum()
    for above in range(1, len(heights) + 1):
        water = 2 ** ((logarithms[above - 1] - 2 * bits) / above)
        if above == len(heights) or heights[above] <= water <= heights[above - 1]:
            return float(above * water + heights[above:].sum())
    return 0.0


def cuts(covariance: NDArray[np.float64], bands: range, numbers: int, most: int) -> list[list[int]]:
    """For 1 to `most` shares of `bands`: the first band of each. `covariance` is of two spectra of `numbers` levels, one after the other."""
    edges = [*bands[::EDGE_BANDS], bands.stop]
    losses = np.full((len(edges), len(edges)), np.inf)
    for start, first in enumerate(track(edges[:-1], description="losses", transient=True)):
        for end in range(start + 1, len(edges)):
            if edges[end] - first > WIDEST_BANDS:
                break
            columns = np.concatenate([np.arange(first, edges[end]) + spectrum * numbers for spectrum in range(2)])
            losses[start, end] = loss(np.linalg.eigvalsh(covariance[np.ix_(columns, columns)]))
    least, before = np.where(np.arange(len(edges)) == 0, 0.0, np.inf), []
    for _ in range(most):
        totals = least[:, None] + losses
        before.append(totals.argmin(axis=0))
        least = totals.min(axis=0)
    found = []
    for shares in range(1, most + 1):
        end, firsts = len(edges) - 1, []
        for chosen in reversed(before[:shares]):
            end = int(chosen[end])
            firsts.append(edges[end])
        found.append(firsts[::-1])
    return found


def heard_again(config: CodecConfig, levels: torch.Tensor, held_out: Shards) -> tuple[float, float]:
    """Mean onset F1 of held-out pieces after rounding by k-means codebooks, and of their levels themselves."""
    codec = Codec(config)
    codec.find_components(levels)
    codec.quantiser.initialise(torch.cat([codec.latents(some) for some in levels.split(8)]).flatten(0, 1), torch.Generator().manual_seed(0))
    scores = []
    for piece in range(PIECES):
        audio = torch.from_numpy(held_out.samples(piece, 0, SECONDS * SAMPLE_RATE))[None]
        exact = codec.levels(audio)
        rounded = codec.plain(codec.quantiser.decode(codec.quantiser.encode(codec.latents(exact))).flatten(2))
        reference = notes(audio[0].numpy(), SAMPLE_RATE)
        scores.append([onset_f1(reference, notes(synthesised(sound[0].numpy(), config), SAMPLE_RATE)) for sound in (rounded, exact)])
    rounded_f1, exact_f1 = np.mean(scores, axis=0)
    return float(rounded_f1), float(exact_f1)


@torch.inference_mode()
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=Path(".training"), help="folder of the training, with its corpus")
    parser.add_argument("--middle", type=int, nargs="+", default=[22, 30, 36, 44], help="numbers of shares of the middle to try")
    said = parser.parse_args(arguments)
    torch.set_num_threads(1)
    corpus, held_out = Shards(said.run / "corpus"), Shards(said.run / "held_out")
    config = replace(RECIPES["small"].codec, width=32, fast_blocks=1, slow_blocks=1)  # the decoder is not asked
    codec, rng = Codec(config), np.random.default_rng(0)
    starts = zip(rng.integers(len(corpus), size=CROPS), rng.integers(round(corpus.seconds * SAMPLE_RATE) - CROP_SAMPLES, size=CROPS), strict=True)
    levels = torch.cat([codec.levels(torch.from_numpy(corpus.samples(int(piece), int(start), CROP_SAMPLES))[None]) for piece, start in starts])
    covariance = torch.cov(levels.reshape(-1, 2 * config.numbers).T.double()).numpy()
    bands, hz = len(config.bands), [first * SAMPLE_RATE / config.spectrum_size for first in config.bands]
    print("sides", [int(hz[band - bands]) for band in cuts(covariance, range(bands, 2 * bands), config.numbers, len(SIDE_HZ))[-1]])
    found = cuts(covariance, range(bands), config.numbers, max(said.middle))
    for shares in said.middle:
        middle_hz = tuple(int(hz[band]) for band in found[shares - 1])
        rounded, exact = heard_again(replace(config, middle_hz=middle_hz), levels, held_out)
        print(f"{shares} and {len(SIDE_HZ)} shares, {len(SIDE_HZ) + shares} codebooks: onset F1 {rounded:.3f} (the levels themselves {exact:.3f})\n{middle_hz}")


if __name__ == "__main__":
    main()
