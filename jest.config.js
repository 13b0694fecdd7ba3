export const project = (displayName, testMatch, more = {}) => ({
  displayName,
  testMatch,
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/build', '<rootDir>/.coffer'],
  ...more,
})

/** End-to-end files that take long and are left to `npm run test:services`, so that `npm test` ends within ten minutes on two cores. */
export const LONG = ['api-quota', 'hostile-names', 'kills-actions', 'surroundings-disk']

export default {
  // A bound for what hangs, far above what a busy machine of two cores needs. Jest reads it here, never inside a project.
  testTimeout: 60_000,
  projects: [
    project('unit', ['<rootDir>/test/**/*.test.ts'], {
      testPathIgnorePatterns: ['/node_modules/', '/test/e2e/', '/test/services/'],
    }),
    project('e2e', ['<rootDir>/test/e2e/*.test.ts'], {
      testPathIgnorePatterns: ['/node_modules/', ...LONG.map(name => `/test/e2e/${name}\\.test\\.ts$`)],
    }),
  ],
}
