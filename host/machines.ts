import type { MachineSide } from '../lib/datastores/machine.ts'
import type { Manifest } from '../lib/datastores/manifest.ts'

/** What datastores do on a machine, by manager. */
export type Machines = Readonly<Record<string, MachineSide>>

/** What a manager's datastore does on a machine. Throws if this machine does not know it. */
export function machineOf(machines: Machines, manager: string): MachineSide {
  const machine = Object.hasOwn(machines, manager) ? machines[manager] : undefined
  if (!machine) throw new Error(`this host knows no datastore ${manager}`)
  return machine
}

/** The port of a manager's datastore. Throws if this machine does not know it. */
export function portOf(manifests: Readonly<Record<string, Manifest>>, manager: string): number {
  const manifest = Object.hasOwn(manifests, manager) ? manifests[manager] : undefined
  if (!manifest) throw new Error(`Datastore manager '${manager}' cannot be found.`)
  return manifest.port
}
