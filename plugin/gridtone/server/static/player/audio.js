// Plays cues: two decks that cross-fade on the service's clock. Knows nothing of pages; whoever owns it feeds it cues and hears `onchange`.

import { decibelsToGain, fadeCurve, fadeLevel, placement } from "./schedule.js";

const SILENCE_FADE_SECONDS = 1;
const CUT_SECONDS = 0.05;
const LEAD_SECONDS = 0.1; // the audio thread runs on while a busy machine schedules: a cut that began before would begin in its middle, with a click
const RETRY_MILLISECONDS = 3000;
const OVERDUE_MILLISECONDS = 2000; // that the music of a state may go on after it, for want of the next track
const FETCH_MILLISECONDS = 60_000; // three minutes of Opus on a link that has three times the room
const MOST_BUFFERS = 3;
const HEAD_BYTES = 192 * 1024; // some 12 s of music, decoded in a fifteenth of the time of three minutes
const SEAM_SECONDS = 0.5; // ahead, so that a busy machine has both sources in place in time
const BIT_OF_A_FRAME = 1e-5;

export class AudioEngine {
  #context = null;
  #duck = null;
  #volumeGain = null;
  #volume = 0.7;
  #muted = false;
  #decks = [];
  #buffers = new Map();
  #cue = null;
  #connected = true;
  #sound = "off";
  #problem = "";
  #round = 0;
  #soughtRound = -1; // the one that looked for a track: it plays, or is tried again

  /**
   * @param {ServiceClock} clock
   * @param {(trackId: string, codec: "opus" | "flac", limit: AbortSignal) => Promise<ArrayBuffer | null>} fetchAudio null where there is no such audio
   * @param {() => void} onchange `status` changed
   */
  constructor(clock, fetchAudio, onchange = () => {}) {
    this.clock = clock;
    this.fetchAudio = fetchAudio;
    this.onchange = onchange;
  }

  /** `sound`: off, on, or refused by the browser. `problem`: empty, or what to tell a person: no_audio, no_network. */
  get status() {
    return { sound: this.#sound, problem: this.#problem };
  }

  /** Turn the sound on; to be called from a click or a key. Never throws: a refusal shows in `status`. */
  async enable() {
    this.#context ??= this.#open();
    const refused = new Promise((resolve) => setTimeout(resolve, 1500));
    await Promise.race([this.#context.resume().catch(() => {}), refused]);
    if (this.#context.state === "running") {
      if (this.#sound !== "on") this.#begin();
      return;
    }
    this.#sound = "refused";
    this.onchange();
  }

  disable() {
    this.#sound = "off";
    this.#stopAll(0.3);
    this.onchange();
  }

  setVolume(volume) {
    this.#volume = volume;
    this.#setLevel();
  }

  /** Over `seconds`: music that an alarm stopped comes back slowly. */
  setMuted(muted, seconds = 0.1) {
    this.#muted = muted;
    this.#setLevel(seconds);
  }

  /** Follow the newest cue. The one that plays already goes on, so that a reconnection does not restart the music. */
  follow(cue) {
    const last = this.#cue;
    if (last && cue.id < last.id && cue.time < last.time) return; // an old event, told again after a reconnection
    this.#cue = cue;
    if (last && goesOn(cue, last)) {
      for (const deck of this.#decks) if (goesOn(cue, deck.cue)) deck.cue = cue;
      if (this.#soughtRound === this.#round) this.#setDuck();
      else this.#apply();
      return;
    }
    const old = this.#decks.filter((deck) => deck.cue.state !== cue.state);
    if (old.length) setTimeout(() => this.#endOverdue(old), OVERDUE_MILLISECONDS + 1000 * Math.max(0, cue.time - this.clock.now()));
    this.#apply();
  }

  /** Nothing has been heard of the service: no music may claim that all is well. */
  lost() {
    this.#connected = false;
    this.#stopAll(SILENCE_FADE_SECONDS);
  }

  found() {
    if (this.#connected) return;
    this.#connected = true;
    this.#apply();
  }

  #open() {
    const context = new AudioContext({ latencyHint: "playback" });
    this.#duck = new GainNode(context);
    this.#volumeGain = new GainNode(context, { gain: this.#level() });
    this.#duck.connect(this.#volumeGain).connect(context.destination);
    context.onstatechange = () => {
      if (this.#sound === "on" && context.state !== "running") context.resume().catch(() => {});
      if (this.#sound === "refused" && context.state === "running") this.#begin(); // the browser only took its time
    };
    return context;
  }

  #begin() {
    this.#sound = "on";
    this.#apply();
    this.onchange();
  }

  #level() {
    return this.#muted ? 0 : this.#volume ** 2;
  }

  #setLevel(seconds = 0.1) {
    this.#volumeGain?.gain.setTargetAtTime(this.#level(), this.#context.currentTime, seconds / 3);
  }

  #setDuck() {
    this.#duck.gain.setTargetAtTime(decibelsToGain(Math.min(0, this.#cue.duck_db)), this.#context.currentTime, 0.1);
  }

  async #apply() {
    const round = ++this.#round;
    const cue = this.#cue;
    if (this.#sound !== "on" || !this.#connected || !cue) return;
    this.#setDuck();
    if (!placement(cue, this.clock.now())) {
      this.#stopAll(Math.min(SILENCE_FADE_SECONDS, cue.crossfade_seconds));
      return;
    }
    this.#soughtRound = round;
    const buffer = await this.#load(cue.track.id, (head) => round === this.#round && this.#playHead(cue, head));
    if (round !== this.#round) return;
    if (!buffer) {
      setTimeout(() => round === this.#round && this.#apply(), RETRY_MILLISECONDS);
      return;
    }
    const begun = this.#decks.find((deck) => goesOn(cue, deck.cue));
    if (begun) this.#goOn(begun, buffer);
    else this.#play(cue, buffer);
    if (cue.upcoming) await this.#load(cue.upcoming.id);
  }

  /** No mood outlives its state because the next track does not come. Music of the same state may go on until it is there. */
  #endOverdue(old) {
    const now = this.#context.currentTime;
    if (this.#decks.some((deck) => goesOn(this.#cue, deck.cue) && deck.start <= now)) return;
    const over = this.#decks.filter((deck) => old.includes(deck) && deck.cue.state !== this.#cue.state);
    if (!over.length) return;
    for (const deck of over) this.#end(deck, now, SILENCE_FADE_SECONDS);
    this.#decks = this.#decks.filter((deck) => !over.includes(deck));
    if (!this.#problem) this.#tell("no_network");
  }

  #playHead(cue, head) {
    if (placement(cue, this.clock.now())?.offset < head.duration - 1) this.#play(cue, head);
  }

  /** From the head of a track into the whole of it: the same samples, so that nobody hears where. */
  #goOn(deck, buffer) {
    const seam = Math.max(deck.start, this.#wholeFrames(this.#context.currentTime + SEAM_SECONDS));
    deck.source.stop(seam);
    deck.source = this.#source(deck, buffer);
    deck.source.start(seam, this.#wholeFrames(deck.offset + seam - deck.start, BIT_OF_A_FRAME));
  }

  #source(deck, buffer) {
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    source.connect(deck.gain);
    source.onended = () => {
      source.disconnect();
      source.buffer = null; // 20 MB a minute, which would wait for the node's own collection
      if (source !== deck.source) return;
      deck.gain.disconnect();
      this.#decks = this.#decks.filter((other) => other !== deck);
    };
    return source;
  }

  /** Schedule everything on the audio clock at once, so that a throttled tab cannot be late. */
  #play(cue, buffer) {
    const place = placement(cue, this.clock.now());
    if (!place) return;
    const now = this.#context.currentTime;
    const start = this.#wholeFrames(now + place.delay);
    for (const deck of this.#decks.filter((deck) => deck.start > now)) this.#end(deck, now, 0);
    const sounding = this.#decks;
    for (const deck of sounding.slice(0, -1)) this.#end(deck, now + LEAD_SECONDS, CUT_SECONDS);
    for (const deck of sounding.slice(-1)) this.#end(deck, start, cue.crossfade_seconds);
    const gain = new GainNode(this.#context, { gain: 0 });
    gain.connect(this.#duck);
    const deck = { cue, gain, start, offset: this.#wholeFrames(place.offset, BIT_OF_A_FRAME), fade: null };
    deck.source = this.#source(deck, buffer);
    this.#fade(deck, 0, 1, start, Math.max(cue.crossfade_seconds, CUT_SECONDS));
    deck.source.start(start, deck.offset);
    this.#decks = [...this.#decks, deck];
  }

  /**
   * Between two samples the browser would interpolate, which dulls the sound. It rounds times up and places in a track down: a bit less for the ones, a bit more
   * for the others, or a frame is lost here and there.
   */
  #wholeFrames(seconds, more = -BIT_OF_A_FRAME) {
    return Math.max(0, Math.round(seconds * this.#context.sampleRate) + more) / this.#context.sampleRate;
  }

  #end(deck, start, seconds) {
    if (deck.start > start) {
      deck.source.stop();
      this.#decks = this.#decks.filter((other) => other !== deck);
      return;
    }
    const level = fadeLevel(deck.fade, Math.max(start, this.#context.currentTime));
    this.#fade(deck, level, 0, start, Math.max(seconds, CUT_SECONDS));
    deck.source.stop(start + Math.max(seconds, CUT_SECONDS));
  }

  #fade(deck, from, to, start, seconds) {
    const gain = deck.gain.gain;
    gain.cancelScheduledValues(0);
    const now = this.#context.currentTime;
    if (deck.fade && start > now) {
      // Until the new fade begins, the one under way goes on as a curve of its own.
      const seconds = Math.min(start, deck.fade.start + deck.fade.seconds) - now - 0.001;
      if (seconds > 0.001) gain.setValueCurveAtTime(Float32Array.from({ length: 129 }, (_, i) => fadeLevel(deck.fade, now + (seconds * i) / 128)), now, seconds);
      else gain.setValueAtTime(fadeLevel(deck.fade, now), now);
    }
    deck.fade = { from, to, start, seconds };
    gain.setValueCurveAtTime(fadeCurve(deck.fade), start, seconds);
  }

  #stopAll(seconds) {
    this.#round++;
    if (!this.#context) return;
    for (const deck of this.#decks) this.#end(deck, this.#context.currentTime, seconds);
    this.#decks = [];
  }

  /** The decoded track, or null; at most three are kept: what plays, what follows, and what fades out. `onhead` hears of its beginning before that. */
  async #load(id, onhead = null) {
    const loaded = this.#buffers.get(id) ?? this.#decode(id, onhead);
    this.#buffers.delete(id);
    this.#buffers.set(id, loaded);
    while (this.#buffers.size > MOST_BUFFERS) this.#buffers.delete(this.#buffers.keys().next().value);
    const buffer = await loaded;
    if (!buffer) this.#buffers.delete(id);
    return buffer;
  }

  async #decode(id, onhead) {
    let problem = "no_audio";
    for (const codec of ["opus", "flac"]) {
      const limit = AbortSignal.timeout(FETCH_MILLISECONDS);
      try {
        const bytes = await this.fetchAudio(id, codec, limit);
        if (onhead && codec === "opus" && bytes?.byteLength > 2 * HEAD_BYTES) {
          // A browser that decodes whole files only has no head.
          await this.#context.decodeAudioData(bytes.slice(0, HEAD_BYTES)).then(onhead, () => {});
        }
        const buffer = bytes && (await this.#context.decodeAudioData(bytes));
        if (buffer) {
          for (let i = 0; i < buffer.numberOfChannels; i++) buffer.getChannelData(i); // so that the browser's collector knows how large it is
          this.#tell("");
          return buffer;
        }
      } catch (error) {
        if (error instanceof TypeError || limit.aborted) problem = "no_network"; // what fetch throws; a codec that the browser lacks is an EncodingError
        if (limit.aborted) break; // FLAC is five times as large
      }
    }
    this.#tell(problem);
    return null;
  }

  #tell(problem) {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.onchange();
  }
}

/** Whether a cue says again what another said, turned up or down at most: what plays goes on. */
function goesOn(cue, other) {
  return cue.time === other.time && cue.track?.id === other.track?.id;
}
