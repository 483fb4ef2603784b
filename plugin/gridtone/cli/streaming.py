"""`gridtone generate --stream`: sound as it is sampled."""

import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click
import numpy as np
from numpy.typing import NDArray

from gridtone.cli.common import console
from gridtone_engine import Engine, Prompt

STDOUT = Path("-")


def stream(engine: Engine, prompt: Prompt, output: Path) -> None:
    """Write `prompt.seconds` of sound to `output`, or to the standard output (`-`), as WAV of 16 bits, each part as soon as it can be heard.

    Says when the first was written. Raises click.ClickException for an engine that samples tracks as a whole.
    """
    if not hasattr(engine, "stream"):
        raise click.ClickException(f"{engine.name} makes a track as a whole: leave --stream out, or use an engine that can, such as undertone")
    if output == STDOUT and sys.stdout.isatty():
        raise click.ClickException("sound would go to the terminal: pipe it to a player, such as `| ffplay -nodisp -autoexit -`, or name a file, -o FILE.wav")
    began = time.monotonic()
    with click.open_file(str(output), "wb") as file:
        try:
            first = _write(engine.stream(prompt), round(prompt.seconds * engine.sample_rate), engine.sample_rate, file)  # type: ignore[attr-defined]
        except (KeyboardInterrupt, BrokenPipeError):
            console.print("stopped")
            return
    console.print(
        f"first sound after {first - began:.2f} s, {prompt.seconds:g} s sampled in {time.monotonic() - began:.1f} s; nothing here has passed the gate"
    )


def _write(chunks: Iterator[NDArray[np.float32]], frames: int, sample_rate: int, file: IO[bytes]) -> float:
    """Returns when the first chunk was out, by the monotonic clock."""
    first, written = 0.0, 0
    file.write(_header(frames, sample_rate))
    while written < frames:
        samples = next(chunks)[:, : frames - written]
        file.write(np.round(samples.T * 32767).astype("<i2").tobytes())
        file.flush()
        first = first or time.monotonic()
        written += samples.shape[1]
    return first


def _header(frames: int, sample_rate: int) -> bytes:
    """Of two channels of 16 bits; right from the beginning, because a pipe cannot be rewound, which the standard library's `wave` would do when stopped."""
    frame_bytes = 4
    size = frames * frame_bytes
    form = (1, 2, sample_rate, sample_rate * frame_bytes, frame_bytes, 16)
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, *form, b"data", size)
