"""What comes out of a browser's speakers, measured. Pages get `TAP` as an init script.

Nothing here trusts a machine's speed: what should come is waited for, and recordings are made on the audio thread, which loses no sample when the page is slow.
"""

import base64
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

from waiting import PATIENCE_SECONDS

Samples = NDArray[np.float32]
Found = TypeVar("Found")

AUDIBLE_DB = -40
SILENT_DB = -80

TAP = """
(() => {
  window.contexts = 0; window.starts = [];
  const connect = AudioNode.prototype.connect, start = AudioBufferSourceNode.prototype.start;
  AudioNode.prototype.connect = function (target, ...rest) {
    if (target !== this.context.destination || this === window.tap || this === window.recorder) return connect.call(this, target, ...rest);
    window.contexts++;
    window.tap = new AnalyserNode(this.context, { fftSize: 32768, channelCount: 1, channelCountMode: 'explicit' });
    connect.call(this, window.tap);
    return connect.call(this, target, ...rest);
  };
  AudioBufferSourceNode.prototype.start = function (when, ...rest) {
    window.starts.push(Date.now() / 1000 + Math.max(0, when - this.context.currentTime));
    return start.call(this, when, ...rest);
  };
  window.coded = (samples) => {
    const bytes = new Uint8Array(samples.buffer);
    let text = '';
    for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    return btoa(text);
  };
})();
"""
LATEST = """seconds => {
  const samples = new Float32Array(32768), rate = window.tap?.context.sampleRate ?? 48000;
  window.tap?.getFloatTimeDomainData(samples);
  return [window.coded(samples.slice(-Math.round(seconds * rate))), rate];
}"""
RECORD = """async () => {
  window.recorded = [];
  if (window.recorder) return;
  const code = `registerProcessor('recorder', class extends AudioWorkletProcessor {
    block = new Float32Array(4096); frames = 0;
    process([[mono = new Float32Array(128)]]) {
      this.block.set(mono, this.frames);
      this.frames = (this.frames + mono.length) % this.block.length;
      if (!this.frames) this.port.postMessage(this.block);
      return true;
    } })`;
  const { context } = window.tap;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
  window.recorder = new AudioWorkletNode(context, 'recorder', { channelCount: 1, channelCountMode: 'explicit' });
  window.recorder.port.onmessage = ({ data }) => window.recorded?.push(data);
  window.tap.connect(window.recorder).connect(context.destination);
}"""
RECORDED = """() => {
  const blocks = window.recorded, all = new Float32Array(4096 * blocks.length);
  blocks.forEach((block, i) => all.set(block, 4096 * i));
  window.recorded = null;
  return [window.coded(all), window.tap.context.sampleRate];
}"""


def eventually(page: Page, condition: Callable[[], Found], seconds: float = PATIENCE_SECONDS) -> Found:
    """What `condition` gives as soon as it is true, while the page goes on."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        page.wait_for_timeout(50)
    return found


def latest(page: Page, seconds: float = 0.5) -> tuple[Samples, int]:
    """The last of what came out of the speakers (0.68 s at most), and its sample rate; zeros where nothing ever sounded."""
    coded, rate = page.evaluate(LATEST, seconds)
    return np.frombuffer(base64.b64decode(coded), dtype=np.float32), round(rate)


def until_heard(page: Page, condition: Callable[[Samples, int], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the last half second is so."""
    deadline = time.monotonic() + seconds
    while not condition(*(last := latest(page))):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s; the level is {level(last[0]):.1f} dB"
        page.wait_for_timeout(50)


def until_tone(page: Page, hertz: float) -> None:
    """Wait until this sine is heard, and steadily: no fade is under way."""

    def steady(samples: Samples, rate: int) -> bool:
        halves = np.array_split(samples, 2)
        return tone(samples, rate, hertz) > AUDIBLE_DB and abs(tone(halves[0], rate, hertz) - tone(halves[1], rate, hertz)) < 0.05

    until_heard(page, steady, f"{hertz} Hz")


def until_silent(page: Page) -> None:
    until_heard(page, lambda samples, _rate: level(samples) < SILENT_DB, "silence")


def stays_silent(page: Page, seconds: float) -> bool:
    """Whether nothing is heard for so long."""
    samples, rate = recording(page, lambda: None, seconds=seconds)
    return bool((levels(samples, rate, 0.1) < SILENT_DB).all())


def recording(page: Page, meanwhile: Callable[[], object], until: Callable[[Samples, int], bool] | None = None, seconds: float = 1) -> tuple[Samples, int]:
    """What the speakers give from before `meanwhile` is called until the last half second is as `until` says, and `seconds` more; and its sample rate."""
    page.evaluate(RECORD)
    meanwhile()
    if until:
        until_heard(page, until, "what was recorded for")
    frames = page.evaluate("4096 * window.recorded.length") + seconds * page.evaluate("window.tap.context.sampleRate")
    eventually(page, lambda: page.evaluate("4096 * window.recorded.length") >= frames, PATIENCE_SECONDS + 5 * seconds)
    coded, rate = page.evaluate(RECORDED)
    return np.frombuffer(base64.b64decode(coded), dtype=np.float32), round(rate)


def level(samples: Samples) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64))) + 1e-9))


def levels(samples: Samples, rate: int, window_seconds: float) -> NDArray[np.float64]:
    window = int(rate * window_seconds)
    return np.array([level(samples[i : i + window]) for i in range(0, len(samples) - window, window)])


def tone(samples: Samples, rate: int, hertz: float) -> float:
    """Level of one sine, dB."""
    window = np.hanning(len(samples))
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    return float(20 * np.log10(2 * abs(samples @ (window * turn)) / window.sum() + 1e-9))
