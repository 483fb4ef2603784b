import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import zh from '../locales/zh-Hans.json';

const files = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)]));

const used = new Map(
  files(join(__dirname, '..'))
    .filter((file) => /\.tsx?$/.test(file) && !file.includes('.test.'))
    .flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/\bt\(\s*'([\w.]+)',\s*(['"])(.*?)\2/gs)].map((match) => [match[1], match[3]] as const))
);

describe('the Chinese texts', () => {
  it('say all that the English ones say, and nothing else', () => {
    expect(used.size).toBeGreaterThan(60);
    expect(Object.keys(zh).sort()).toEqual([...used.keys()].sort());
  });

  it('have the same gaps to fill', () => {
    const gaps = (text: string) => [...text.matchAll(/\{\{\w+\}\}/g)].map(String).sort();
    for (const [key, text] of used) {
      expect([key, gaps(zh[key as keyof typeof zh])]).toEqual([key, gaps(text)]);
    }
  });
});
