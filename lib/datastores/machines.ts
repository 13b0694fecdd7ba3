import type { MachineSide } from './machine.ts'
import type { DatastoreName } from './manifests.ts'
import { postgresqlMachine } from './postgresql/machine.ts'

/** What every datastore does on a machine without its agent. */
export const MACHINES: Record<DatastoreName, MachineSide> = {
  postgresql: postgresqlMachine,
}
