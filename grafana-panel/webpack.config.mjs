// One module.js each for the app, the data source and the panel; what Grafana itself brings stays outside.

import CopyPlugin from 'copy-webpack-plugin';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));

/** The day of the commit, so that two builds of one commit are the same. */
function updated() {
  const epoch = process.env.SOURCE_DATE_EPOCH ?? execFileSync('git', ['log', '-1', '--format=%ct', '--', '.'], { encoding: 'utf8' }).trim();
  return new Date((epoch ? Number(epoch) : 0) * 1000).toISOString().slice(0, 10);
}

const withVersion = (content) => content.toString().replaceAll('%VERSION%', version).replaceAll('%TODAY%', updated());

export default {
  context: new URL('src', import.meta.url).pathname,
  entry: { module: './module.ts', 'datasource/module': './datasource/module.ts', 'panel/module': './panel/module.ts' },
  devtool: 'source-map',
  externals: ['i18next', 'react', 'react-dom', 'react/jsx-runtime', 'rxjs', '@emotion/css', '@grafana/data', '@grafana/runtime', '@grafana/ui'],
  module: {
    rules: [
      {
        test: /\.[jt]sx?$/,
        exclude: /node_modules/,
        loader: 'swc-loader',
        options: { jsc: { target: 'es2022', parser: { syntax: 'typescript', tsx: true } } },
      },
    ],
  },
  resolve: { extensions: ['.ts', '.tsx', '.js'] },
  output: {
    clean: true,
    asyncChunks: false,
    filename: '[name].js',
    library: { type: 'amd' },
    path: new URL('dist', import.meta.url).pathname,
    publicPath: 'public/plugins/gridtone-gridtone-app/',
    uniqueName: 'gridtone-gridtone-app',
  },
  performance: { hints: false },
  plugins: [
    new CopyPlugin({
      patterns: [
        { from: '**/plugin.json', transform: withVersion },
        { from: 'README.md', transform: withVersion },
        { from: '**/img/*' },
        { from: 'dashboards/*.json' },
        { from: '../CHANGELOG.md' },
        { from: '../../LICENSE', to: 'LICENSE', toType: 'file' },
      ],
    }),
  ],
};
