import type { Drivers } from './driver.ts'
import type { MANIFESTS } from './manifests.ts'
import { postgresqlDriver } from './postgresql/driver.ts'

/** The driver of every datastore. Only agents load it. */
export const DRIVERS: Drivers<typeof MANIFESTS> = {
  postgresql: postgresqlDriver,
}
