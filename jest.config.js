export const project = (displayName, testMatch, options = {}) => ({
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
  ...options,
})

/** Slow end-to-end files, which `npm run test:services` runs: `npm test` is to end within ten minutes on two cores. */
export const LONG = ['api-quota', 'hostile-names', 'kills-actions', 'surroundings-disk']

/** Programs that attack as root and as tenants' uids, which `npm run test:services` runs: `npm test` needs no root. */
export const ATTACKS = ['e2e/impostor', 'e2e/superuser', 'host/daemon-bounds', 'host/daemon-hostile', 'host/metadata']

const fileOf = name => `/test/${name}\\.test\\.ts$`

/** End-to-end files that share one cloud, each with projects of its own; the others start their own. */
const SHARED = [
  'actions',
  'api',
  'api-create',
  'api-users',
  'hostile',
  'quotas',
  'root',
  'ssl',
  'steer',
  'tenants',
  'xml',
]

/** Jest's own reporter, and the slowest files at the end. */
export const reporters = ['default', '<rootDir>/scripts/slowest-reporter.mjs']

export default {
  // Stops a test that hangs; far above what a busy machine of two cores needs. Jest reads it here, never inside a
  // project.
  testTimeout: 60_000,
  // Jest's default leaves one core idle; most tests wait for other processes.
  maxWorkers: '100%',
  reporters,
  projects: [
    project('unit', ['<rootDir>/test/**/*.test.ts'], {
      testPathIgnorePatterns: ['/node_modules/', '/test/e2e/', '/test/services/', ...ATTACKS.map(fileOf)],
    }),
    project('e2e', ['<rootDir>/test/e2e/*.test.ts'], {
      testPathIgnorePatterns: [
        '/node_modules/',
        ...[...LONG, ...SHARED].map(name => fileOf(`e2e/${name}`)),
        ...ATTACKS.map(fileOf),
      ],
    }),
    project(
      'e2e-shared',
      SHARED.map(name => `<rootDir>/test/e2e/${name}.test.ts`),
      {
        globalSetup: '<rootDir>/test/e2e/global-setup.mts',
        globalTeardown: '<rootDir>/test/e2e/global-teardown.mts',
      },
    ),
  ],
}
