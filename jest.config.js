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
  // A bound for what hangs, far above what a busy machine of two cores needs.
  testTimeout: 60_000,
  modulePathIgnorePatterns: ['<rootDir>/build', '<rootDir>/.coffer'],
  ...more,
})

export default {
  projects: [
    project('unit', ['<rootDir>/test/**/*.test.ts'], {
      testPathIgnorePatterns: ['/node_modules/', '/test/e2e/', '/test/services/'],
    }),
    project('e2e', ['<rootDir>/test/e2e/*.test.ts']),
  ],
}
