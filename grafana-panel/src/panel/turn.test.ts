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
});
