import { ATTACKS, LONG, project, reporters } from '../../jest.config.js'

/**
 * The suite of `npm run test:services`. It is no project of the main configuration, so that `npm test` does not run
 * it.
 */
export default {
  rootDir: '../..',
  maxWorkers: 2,
  reporters,
  ...project('services', [
    '<rootDir>/test/services/*.test.ts',
    ...LONG.map(name => `<rootDir>/test/e2e/${name}.test.ts`),
    ...ATTACKS.map(name => `<rootDir>/test/${name}.test.ts`),
  ]),
  // Each command of the openstack program takes two seconds to start Python.
  testTimeout: 120_000,
}
