import { LONG, project } from '../../jest.config.js'

/** The suite of `npm run test:services`; not a project of the main configuration, so that `npm test` leaves it out. */
export default {
  rootDir: '../..',
  maxWorkers: 2,
  ...project('services', [
    '<rootDir>/test/services/*.test.ts',
    ...LONG.map(name => `<rootDir>/test/e2e/${name}.test.ts`),
  ]),
  // A command of the openstack program takes two seconds of Python before it sends anything.
  testTimeout: 120_000,
}
