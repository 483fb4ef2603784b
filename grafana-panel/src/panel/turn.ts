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

/** By messages, where the page is not a secure context (plain http): who asked last sounds. */
class ChannelTurn implements Turn {
  private readonly channel = new BroadcastChannel(NAME);
  private wanted = false;

  constructor(private readonly onchange: (mine: boolean) => void) {
    this.channel.onmessage = ({ data }) => {
      if (this.wanted && data === 'taken') {
        this.onchange(false);
      } else if (this.wanted && data === 'free') {
        this.take();
      }
    };
    window.addEventListener('pagehide', () => this.release());
  }

  take(): void {
    this.wanted = true;
    this.channel.postMessage('taken');
    this.onchange(true);
  }

  release(): void {
    if (this.wanted) {
      this.wanted = false;
      this.channel.postMessage('free');
    }
  }
}
