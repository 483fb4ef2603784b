// Bundles the stand-in with Grafana's packages: `node harness/build.mjs <folder with node_modules> <major version>` writes build/<major version>/.

import { build } from 'esbuild';
import { resolve } from 'node:path';

const [folder, version] = process.argv.slice(2);

/** What the stand-in imports comes from that folder, wherever the stand-in lies. */
const fromFolder = {
  name: 'from-folder',
  setup({ onResolve, resolve: find }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind, importer, pluginData }) =>
      importer.endsWith('harness/grafana.tsx') && !pluginData ? find(path, { resolveDir: resolve(folder), kind, pluginData: true }) : undefined
    );
  },
};

await build({
  entryPoints: ['harness/grafana.tsx'],
  bundle: true,
  outfile: `build/${version}/grafana.js`,
  format: 'esm',
  target: 'es2022',
  plugins: [fromFolder],
  define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
  loader: { '.svg': 'dataurl', '.ttf': 'empty', '.woff2': 'empty', '.png': 'empty', '.gif': 'empty' },
  logLevel: 'error',
  minify: true,
});
