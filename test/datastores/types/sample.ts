import { type Drivers, defineDriver, type Server } from '../../../lib/datastores/driver.ts'
import type { MachineSide } from '../../../lib/datastores/machine.ts'
import type { Manifest } from '../../../lib/datastores/manifest.ts'

const rules = { reserved: [], nameProblem: () => undefined, localeProblem: () => undefined }
const facts = {
  id: '1',
  name: 'sample',
  manager: 'sample',
  defaultVersion: '1',
  versions: [],
  port: 1,
  upgradeProblem: () => undefined,
  defaultConfiguration: () => ({}),
}

/** A datastore with two capabilities, one with a single verb. */
const sampleManifest = { ...facts, can: { databases: rules, access: {} } } satisfies Manifest

export const server: Server = {
  prepare: async () => {},
  start: async () => {},
  stop: async () => {},
  exited: async () => {},
  used_bytes: async () => 0,
  diagnostics: () => Promise.reject(new Error('none')),
}
const listing = { list_databases: async () => ({ items: [{ name: 'a' }] }) }
const databases = { ...listing, create_database: async () => {}, delete_database: async () => {} }
const access = { update_access: async () => {} }

export const sampleDriver = defineDriver(sampleManifest, () => ({ ...server, ...databases, ...access }))
const registry = { sample: sampleManifest }
export const drivers: Drivers<typeof registry> = { sample: sampleDriver }

/** Code that must not compile: `tsc` fails if one of these is not an error. */
export function mustNotCompile(): void {
  // @ts-expect-error a claimed capability without its verb
  defineDriver(sampleManifest, () => ({ ...server, ...databases }))
  // @ts-expect-error a claimed capability without one of its verbs
  defineDriver(sampleManifest, () => ({ ...server, ...listing, ...access, create_database: async () => {} }))
  // @ts-expect-error a driver without a verb of every server
  defineDriver(sampleManifest, () => ({ ...databases, ...access, start: async () => {} }))
  // @ts-expect-error a verb of a capability that is not claimed
  defineDriver(sampleManifest, () => ({ ...server, ...databases, ...access, disable_root: async () => {} }))
  const root = { disable_root: async () => {} }
  // @ts-expect-error such a verb through a spread
  defineDriver(sampleManifest, () => ({ ...server, ...databases, ...access, ...root }))
  const inferred = () => ({ ...server, ...databases, ...access, ...root })
  // @ts-expect-error such a verb through the inferred type of a function
  defineDriver(sampleManifest, inferred)
  // @ts-expect-error a verb that nobody knows
  defineDriver(sampleManifest, () => ({ ...server, ...databases, ...access, polish: async () => {} }))
  // @ts-expect-error a verb with another result than the contract's
  defineDriver(sampleManifest, () => ({ ...server, ...databases, ...access, list_databases: async () => ['a'] }))
  const positional = { update_access: async (cidrs: string[]) => void cidrs.length }
  // @ts-expect-error a verb with another input than the contract's
  defineDriver(sampleManifest, () => ({ ...server, ...databases, ...positional }))

  const backedUp = { ...facts, can: { backups: { strategies: ['dump'], pointInTime: false } } } satisfies Manifest
  // @ts-expect-error a capability that has no verbs yet
  defineDriver(backedUp, () => ({ ...server }))
  const vague: Manifest = sampleManifest
  // @ts-expect-error a manifest that does not say which capabilities it has
  defineDriver(vague, () => ({ ...server, ...databases, ...access }))
  // @ts-expect-error a capability that nobody knows
  const unknown = { ...facts, can: { polishing: {} } } satisfies Manifest

  // @ts-expect-error a datastore without a driver
  const none: Drivers<typeof registry> = {}
  const other = { ...facts, can: { root: { user: 'a' } } } satisfies Manifest
  // @ts-expect-error the driver of another datastore
  const wrong: Drivers<{ sample: typeof other }> = { sample: sampleDriver }
  // @ts-expect-error a driver that was not checked
  const unchecked: Drivers<typeof registry> = { sample: () => ({ ...server, ...databases, ...access }) }
  // @ts-expect-error a datastore without a machine side
  const machines: Record<keyof typeof registry, MachineSide> = {}
  void [unknown, none, wrong, unchecked, machines]
}
