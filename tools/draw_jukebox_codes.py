"""Draws the codes of one track of a Jukebox run, a row for each level, time to the right: `python tools/draw_jukebox_codes.py RUN_FOLDER > codes.svg`.

A run folder is what `JukeboxModel.sample(..., folder=...)` and the engine's option `keep_codes` leave.
"""

import argparse
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH, ROW, GAP = 960, 44, 24


def row(codes: NDArray[np.uint16], level: int, top: int, most: int) -> str:
    """One level: a stripe for each run of equal codes, its hue by the code."""
    step, place, stripes = WIDTH / len(codes), 0, []
    for code, run in groupby(codes.tolist()):
        count = len(list(run))
        stripes.append(f'<rect x="{place * step:.2f}" y="{top}" width="{count * step:.2f}" height="{ROW}" fill="hsl({360 * code // most},60%,55%)"/>')
        place += count
    return f'<text x="0" y="{top - 6}">level {level}: {len(codes)} codes</text>{"".join(stripes)}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--track", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the track, from its beginning")
    asked = parser.parse_args()
    files = sorted(asked.folder.glob(f"track_{asked.track}_level_*.npy"), reverse=True)
    levels = [np.load(file, allow_pickle=False) for file in files]
    most = int(max(codes.max() for codes in levels)) + 1
    rows = [row(codes[: round(asked.share * len(codes))], len(files) - 1 - i, 20 + i * (ROW + GAP), most) for i, codes in enumerate(levels)]
    height = 20 + len(rows) * (ROW + GAP)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" fill="#777">')
    print("\n".join(rows), "</svg>", sep="\n")


if __name__ == "__main__":
    main()
