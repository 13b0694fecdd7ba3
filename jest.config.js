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

export default {
  // A bound for what hangs, far above what a busy machine of two cores needs. Jest reads it here, never inside a project.
  testTimeout: 60_000,
  projects: [
    project('unit', ['<rootDir>/test/**/*.test.ts'], {
      testPathIgnorePatterns: ['/node_modules/', '/test/e2e/', '/test/services/'],
    }),
    project('e2e', ['<rootDir>/test/e2e/*.test.ts']),
  ],
}
