import { newestOnly } from './newest';

it('writes one value at a time, leaves out what is overtaken, and ends with the newest', async () => {
  const written: number[] = [];
  let underWay = 0;
  const write = newestOnly(async (value: number) => {
    expect(++underWay).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 20 - value));
    written.push(value);
    underWay--;
  });
  const writes = [1, 2, 3, 4].map(write);
  await Promise.all(writes);
  expect(written).toEqual([1, 4]);
  await write(5);
  expect(written).toEqual([1, 4, 5]);
});

it('goes on after a write that failed', async () => {
  const written: number[] = [];
  const write = newestOnly(async (value: number) => {
    if (value === 1) {
      throw new Error('no storage');
    }
    written.push(value);
  });
  await expect(write(1)).rejects.toThrow('no storage');
  await write(2);
  expect(written).toEqual([2]);
});
