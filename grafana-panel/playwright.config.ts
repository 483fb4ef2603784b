import { type PluginOptions } from '@grafana/plugin-e2e';
import { defineConfig, devices } from '@playwright/test';
import { dirname } from 'node:path';

const auth = `${dirname(require.resolve('@grafana/plugin-e2e'))}/auth`;

export default defineConfig<PluginOptions>({
  testDir: './e2e',
  use: { baseURL: process.env.GRAFANA_URL ?? 'http://localhost:3000', trace: 'on-first-retry' },
  projects: [
    { name: 'auth', testDir: auth, testMatch: [/.*\.js/] },
    { name: 'chromium', use: { ...devices['Desktop Chrome'], storageState: 'playwright/.auth/admin.json' }, dependencies: ['auth'] },
  ],
});
