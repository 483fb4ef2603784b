// These packages come as ES modules only.
const MODULES = ['@grafana', '@wojtekmaj', 'd3', 'marked', 'ol', 'react-calendar', 'rxjs', 'uuid', 'get-user-locale', 'memoize', 'mimic-function', 'react-colorful', 'rbush', 'quickselect', 'earcut', 'pbf', 'geotiff', 'robust-predicates', 'delaunator', 'internmap', 'react-data-grid', 'monaco-editor', 'nanoid'];

export default {
  testEnvironment: 'jsdom',
  setupFiles: ['<rootDir>/jest.setup.mjs'],
  testMatch: ['<rootDir>/src/**/*.test.{ts,tsx}'],
  transform: {
    '^.+\\.(t|j|mj)sx?$': ['@swc/jest', { jsc: { target: 'es2022', parser: { syntax: 'typescript', tsx: true } }, module: { type: 'commonjs' } }],
  },
  moduleNameMapper: { '\\.css$': '<rootDir>/jest.style.cjs' },
  transformIgnorePatterns: [`node_modules/(?!.*(${MODULES.join('|')})[^/]*/.*)`],
};
