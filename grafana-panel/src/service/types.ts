// What the service says, as far as Grafana uses it: docs/http-api.md has the whole.

export type Words = Partial<Record<string, string>> & { en: string };
export type Severity = 'normal' | 'restorative' | 'alert' | 'emergency' | 'in_extremis' | 'unknown';

export interface Track {
  id: string;
  state: string;
  text: string;
  seconds: number;
  tempo_bpm: number | null;
  key: string | null;
  engine: string;
  licence: string;
}

export interface Cue {
  id: number;
  /** When the track begins, seconds since the Unix epoch on the service's clock. */
  time: number;
  action: 'play' | 'silence';
  state: string;
  reason: Words;
  track: Track | null;
  upcoming: Track | null;
  crossfade_seconds: number;
  duck_db: number;
}

export interface Standing {
  state: string;
  title: Words;
  severity: Severity;
  since: number;
  reason: Words;
  silent: boolean;
}

export interface StateView {
  name: string;
  title: Words;
  severity: Severity;
  silent: boolean;
  fresh: number;
  wanted: number;
}

export interface StateSpan {
  state: string;
  severity: Severity;
  start: number;
  /** null while it lasts */
  end: number | null;
  reason: Words;
}

export interface SignalTrend {
  name: string;
  title: Words;
  unit: string;
  times: number[];
  values: Array<number | null>;
}

export interface Play {
  time: number;
  state: string;
  track_id: string;
  text: string;
  licence: string;
}

export interface Feedback {
  time: number;
  track_id: string;
  state: string;
  text: string;
  thumb: 1 | -1;
  reason: string;
}

export interface Sampler {
  running: boolean;
  engine: string;
  problem: string;
  job: string;
  fraction: number;
}

export interface Adapter {
  name: string;
  connected: boolean;
  problem: string;
  received: number;
  dropped: number;
}
