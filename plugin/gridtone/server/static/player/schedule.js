// When and how loud: the arithmetic of playback, without a browser.

/** The service's clock, estimated from its messages. A message can only be late, never early: of the last few, the one that was quickest is the best. */
export class ServiceClock {
  #samples = [];

  /** @param {() => number} localSeconds a clock that never jumps */
  constructor(localSeconds = () => performance.now() / 1000) {
    this.localSeconds = localSeconds;
  }

  /** The service said that it is `time` (seconds since the Unix epoch). */
  hear(time) {
    this.#samples.push(time - this.localSeconds());
    if (this.#samples.length > 15) this.#samples.shift();
  }

  get known() {
    return this.#samples.length > 0;
  }

  now() {
    return this.localSeconds() + (this.known ? Math.max(...this.#samples) : Date.now() / 1000 - this.localSeconds());
  }
}

/** Where a cue's track stands at `now`: seconds until it begins and seconds into it, or null once it is over. */
export function placement(cue, now) {
  const late = now - cue.time;
  if (cue.action !== "play" || !cue.track || late >= cue.track.seconds) return null;
  return { delay: Math.max(0, -late), offset: Math.max(0, late) };
}

/** Equal power: two fades in opposite directions keep the sum of their powers. */
export function fadeLevel(fade, time) {
  const x = fade.seconds > 0 ? Math.min(1, Math.max(0, (time - fade.start) / fade.seconds)) : Number(time >= fade.start);
  return fade.to > fade.from
    ? fade.from + (fade.to - fade.from) * Math.sin((x * Math.PI) / 2)
    : fade.to + (fade.from - fade.to) * Math.cos((x * Math.PI) / 2);
}

/** The same as a curve for setValueCurveAtTime. */
export function fadeCurve(fade, steps = 257) {
  return Float32Array.from({ length: steps }, (_, i) => fadeLevel(fade, fade.start + (fade.seconds * i) / (steps - 1)));
}

export function decibelsToGain(decibels) {
  return 10 ** (decibels / 20);
}
