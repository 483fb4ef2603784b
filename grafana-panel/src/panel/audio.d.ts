// The audio engine is the web player's own, plain ES modules; these are its types.

declare module '*/player/audio.js' {
  export class AudioEngine {
    constructor(
      clock: import('./clock').Clock,
      fetchAudio: (trackId: string, codec: 'opus' | 'flac', limit: AbortSignal) => Promise<ArrayBuffer | null>,
      onchange: () => void
    );
    readonly status: { sound: 'off' | 'on' | 'refused'; problem: '' | 'no_audio' | 'no_network' };
    enable(): Promise<void>;
    disable(): void;
    setVolume(volume: number): void;
    setMuted(muted: boolean, seconds?: number): void;
    follow(cue: import('../service/types').Cue): void;
    lost(): void;
    found(): void;
  }
}

declare module '*/player/schedule.js' {
  export class ServiceClock {
    readonly known: boolean;
    localSeconds(): number;
    hear(time: number): void;
    now(): number;
  }
}
