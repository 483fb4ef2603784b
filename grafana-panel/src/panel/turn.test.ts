import { openTurn } from './turn';

/** As the browser does it: one holder, the others queue, a thief ends the holder's request with an AbortError. */
class FakeLocks {
  private queue: Array<() => void> = [];
  private holder: { reject: (error: Error) => void } | null = null;

  request(_: string, options: { steal?: boolean; signal?: AbortSignal }, work: () => Promise<void> | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const hold = () => {
        const holder = (this.holder = { reject });
        Promise.resolve(work()).then(() => {
          resolve();
          if (this.holder === holder) {
            this.holder = null;
            this.queue.shift()?.();
          }
        }, reject);
      };
      options.signal?.addEventListener('abort', () => reject(new Error('aborted')));
      if (options.steal) {
        this.holder?.reject(new Error('stolen'));
        hold();
      } else if (this.holder) {
        this.queue.push(hold);
      } else {
        hold();
      }
    });
  }
}

/** Every message reaches all others, later. */
class FakeChannel {
  static all: FakeChannel[] = [];
  static late = 1;
  dead = false;
  onmessage: ((event: { data: unknown }) => void) | null = null;

  constructor() {
    FakeChannel.all.push(this);
  }

  postMessage(data: unknown) {
    FakeChannel.all.forEach((other) => setTimeout(() => other !== this && !other.dead && !this.dead && other.onmessage?.({ data }), FakeChannel.late));
  }
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 5));

describe('the turn to sound', () => {
  it('by locks: the second waits, may take it, and hands it on', async () => {
    Object.assign(navigator, { locks: new FakeLocks() });
    const heard: string[] = [];
    const one = openTurn((mine) => heard.push(`one ${mine}`));
    const two = openTurn((mine) => heard.push(`two ${mine}`));
    one.take(false);
    two.take(false);
    await settle();
    expect(heard).toEqual(['one true']);
    two.take(true);
    await settle();
    expect(heard.slice(1).sort()).toEqual(['one false', 'two true']);
    two.release();
    await settle();
    expect(heard.at(-1)).toBe('one true');
  });

  describe('by messages, on plain http', () => {
    beforeEach(() => {
      jest.useFakeTimers();
      Object.assign(navigator, { locks: undefined });
      Object.assign(globalThis, { BroadcastChannel: FakeChannel });
      FakeChannel.all = [];
      FakeChannel.late = 1;
    });
    afterEach(() => jest.useRealTimers());

    const three = () => {
      const holds = [false, false, false];
      const turns = holds.map((_, i) => openTurn((mine) => (holds[i] = mine)));
      return { holds, turns };
    };

    it('the second waits, may take it, and hands it on', async () => {
      const { holds, turns } = three();
      turns[0].take(false);
      await jest.advanceTimersByTimeAsync(600);
      turns[1].take(false);
      await jest.advanceTimersByTimeAsync(60_000);
      expect(holds).toEqual([true, false, false]);
      turns[1].take(true);
      await jest.advanceTimersByTimeAsync(10);
      expect(holds).toEqual([false, true, false]);
      turns[1].release();
      await jest.advanceTimersByTimeAsync(10);
      expect(holds[0]).toBe(true);
      FakeChannel.late = 700; // a tab too slow to answer in time keeps its turn all the same
      turns[2].take(false);
      await jest.advanceTimersByTimeAsync(5000);
      expect([holds[0], holds[2]]).toEqual([true, false]);
    });

    it('two that take it at once end with one, and a holder that is gone is followed', async () => {
      const { holds, turns } = three();
      turns.forEach((turn) => turn.take(false));
      await jest.advanceTimersByTimeAsync(2000);
      expect(holds.filter(Boolean)).toHaveLength(1);
      FakeChannel.all[holds.indexOf(true)].dead = true;
      holds.fill(false);
      await jest.advanceTimersByTimeAsync(8000);
      expect(holds.filter(Boolean)).toHaveLength(1);
    });
  });
});
