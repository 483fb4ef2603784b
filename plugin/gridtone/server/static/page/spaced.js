// Doing what is wished for often only now and then.

/**
 * A function that has `run` called: soon after each wish, yet not again before `milliseconds` have passed and the call before is done. Wishes meanwhile come true
 * together, in one call that begins after the last of them. It returns when that call is done.
 * @param {() => Promise<void>} run
 */
export function spaced(run, milliseconds) {
  let next = null;
  let rested = Promise.resolve();
  return () =>
    (next ??= rested.then(() => {
      next = null;
      const done = run();
      rested = Promise.allSettled([done, new Promise((resolve) => setTimeout(resolve, milliseconds))]);
      return done;
    }));
}
