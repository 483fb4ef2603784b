/** Writes one value at a time, and then the newest: Grafana's storage lets writes overtake each other, so that an old value could stay. */
export function newestOnly<T>(write: (value: T) => Promise<void>): (value: T) => Promise<void> {
  let waiting: { value: T } | null = null;
  let writing: Promise<void> | null = null;
  const writeAll = async () => {
    while (waiting) {
      const { value } = waiting;
      waiting = null;
      await write(value);
    }
  };
  return (value) => {
    waiting = { value };
    return (writing ??= writeAll().finally(() => (writing = null)));
  };
}
