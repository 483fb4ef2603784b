"""What comes out of a browser's speakers, measured. The page records into `window.recorded`."""

import base64

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page


def recording(page: Page, seconds: float, during: str = "") -> tuple[NDArray[np.float32], int]:
    """What comes out of the speakers during the next `seconds`, and its sample rate."""
    page.evaluate("window.recorded.length = 0")
    if during:
        page.evaluate(during)
    page.wait_for_timeout(1000 * seconds)
    coded = page.evaluate(
        "() => { const all = new Float32Array(window.recorded.flatMap((block) => [...block])); const bytes = new Uint8Array(all.buffer);"
        " let text = ''; for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768)); return btoa(text); }"
    )
    return np.frombuffer(base64.b64decode(coded), dtype=np.float32), page.evaluate("window.rate")


def level(samples: NDArray[np.float32]) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64))) + 1e-9))


def levels(samples: NDArray[np.float32], rate: int, window_seconds: float) -> NDArray[np.float64]:
    window = int(rate * window_seconds)
    return np.array([level(samples[i : i + window]) for i in range(0, len(samples) - window, window)])


def tone(samples: NDArray[np.float32], rate: int, hertz: float) -> float:
    """Level of one sine, dB."""
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    return float(20 * np.log10(2 * abs(np.mean(samples * turn)) + 1e-9))
