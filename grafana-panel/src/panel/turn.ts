const NAME = 'gridtone-sound';

/** Of all panels and tabs of this browser, one sounds at a time: whoever holds the turn. */
export interface Turn {
  /** Wait for the turn, or with `force` take it from whoever has it. */
  take(force: boolean): void;
  release(): void;
}

/** @param onchange the turn came (true) or was taken away (false) */
export function openTurn(onchange: (mine: boolean) => void): Turn {
  return navigator.locks ? new LockTurn(navigator.locks, onchange) : new ChannelTurn(onchange);
}

/** By Web Locks: the browser itself hands the turn on, also when a tab crashes. */
class LockTurn implements Turn {
  private attempt: AbortController | null = null;
  private done: (() => void) | null = null;

  constructor(
    private readonly locks: LockManager,
    private readonly onchange: (mine: boolean) => void
  ) {}

  take(force: boolean): void {
    this.release();
    const attempt = (this.attempt = new AbortController());
    const options = force ? { steal: true } : { signal: attempt.signal };
    this.locks
      .request(NAME, options, () => {
        if (attempt.signal.aborted) {
          return;
        }
        this.onchange(true);
        return new Promise<void>((resolve) => (this.done = resolve));
      })
      .catch(() => {
        if (!attempt.signal.aborted) {
          this.onchange(false); // taken away: wait until it is free again
          this.take(false);
        }
      });
  }

  release(): void {
    this.attempt?.abort();
    this.attempt = null;
    this.done?.();
    this.done = null;
  }
}

const ANSWER_MILLISECONDS = 500;
const BEAT_MILLISECONDS = 1000;
const GONE_MILLISECONDS = 5000;

/** Of two that hold the turn at once, the higher rank stands: who took it by force last, else who has held it longest. */
interface Claim {
  rank: number;
  id: number;
}

/** By messages, where the page is not a secure context (plain http): the holder says so every second; one that is not heard for 5 seconds is gone. */
class ChannelTurn implements Turn {
  private readonly channel = new BroadcastChannel(NAME);
  private readonly id = Math.random();
  private wanted = false;
  private claim: Claim | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly onchange: (mine: boolean) => void) {
    this.channel.onmessage = ({ data }: MessageEvent<Claim | 'asked' | 'free'>) => {
      if (data === 'asked') {
        this.beat();
      } else if (data === 'free') {
        this.holdIn(0);
      } else {
        this.hear(data);
      }
    };
    window.addEventListener('pagehide', () => this.release());
  }

  take(force: boolean): void {
    this.wanted = true;
    if (force) {
      this.hold(Date.now());
    } else if (!this.claim) {
      this.channel.postMessage('asked');
      this.holdIn(ANSWER_MILLISECONDS);
    }
  }

  release(): void {
    this.wanted = false;
    clearTimeout(this.timer);
    if (this.claim) {
      this.claim = null;
      this.channel.postMessage('free');
    }
  }

  private hold(rank: number): void {
    this.claim = { rank, id: this.id };
    this.beat();
    this.onchange(true);
  }

  /** Unless somebody claims the turn before. */
  private holdIn(milliseconds: number): void {
    if (this.wanted && !this.claim) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.hold(-Date.now()), milliseconds);
    }
  }

  private beat(): void {
    if (this.claim) {
      this.channel.postMessage(this.claim);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.beat(), BEAT_MILLISECONDS);
    }
  }

  private hear(other: Claim): void {
    if (this.claim) {
      if ((other.rank - this.claim.rank || other.id - this.claim.id) < 0) {
        return this.beat();
      }
      this.claim = null;
      this.onchange(false);
    }
    this.holdIn(GONE_MILLISECONDS);
  }
}
