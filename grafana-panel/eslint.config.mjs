import grafana from '@grafana/eslint-config/flat.js';
import { defineConfig } from 'eslint/config';

export default defineConfig([
  { ignores: ['dist/', 'node_modules/', 'build/'] },
  ...grafana,
  {
    files: ['src/**/*.{ts,tsx}'],
    languageOptions: { parserOptions: { project: './tsconfig.json' } },
    rules: { 'react/prop-types': 'off', '@typescript-eslint/no-deprecated': 'error', 'no-console': 'error' },
  },
]);
