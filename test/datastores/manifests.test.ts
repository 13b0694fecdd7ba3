import { describe, expect, it } from '@jest/globals'
import { capabilityMethods, type GuestCapability } from '../../lib/contracts/guest/guest.ts'
import type { DriverContext } from '../../lib/datastores/driver.ts'
import { DRIVERS } from '../../lib/datastores/drivers.ts'
import { MACHINES } from '../../lib/datastores/machines.ts'
import type { Manifest } from '../../lib/datastores/manifest.ts'
import { type DatastoreName, DEFAULT_DATASTORE, MANIFESTS } from '../../lib/datastores/manifests.ts'
import { random } from '../host/daemon-world.ts'
import { silentLog } from '../kit/random.ts'
import { realClock } from '../kit/virtual-clock.ts'

const context: DriverContext = {
  ...{ volume: '/nowhere', engine: '/nowhere', address: '127.0.0.1', port: 1, flavor: { ramMb: 512, vcpus: 1 } },
  ...{ clock: realClock, random, log: silentLog },
}
/** What a driver has besides the methods of its capabilities. */
const SERVER = ['prepare', 'start', 'stop', 'exited', 'used_bytes', 'diagnostics']
/** What it may have. */
const OPTIONAL = ['isConnectionLost', 'set_read_only']
const BESIDES: Partial<Record<string, string[]>> = { tls: ['tls_key', 'use_certificate'] }

const names = Object.keys(MANIFESTS) as DatastoreName[]

describe('the registries of datastores', () => {
  it('begin with the default one', () => {
    expect(names[0]).toBe(DEFAULT_DATASTORE)
  })

  it.each(names)('have %s under the name of its manager, with its own driver', name => {
    const manifest: Manifest = MANIFESTS[name]
    expect(manifest.manager).toBe(name)
    expect(DRIVERS[name].manifest).toBe(manifest)
    expect(MACHINES[name].imageFolder).toMatch(/^\//)
    expect(manifest.versions.map(version => version.name)).toContain(manifest.defaultVersion)
  })

  // A declared return type would hide a surplus verb from the compiler.
  it.each(names)('have a driver of %s with exactly the verbs that its manifest claims', name => {
    const claimed = Object.keys(MANIFESTS[name].can) as GuestCapability[]
    const verbs = claimed.flatMap(key => [...Object.keys(capabilityMethods[key]), ...(BESIDES[key] ?? [])])
    const members = Object.keys(DRIVERS[name](context)).filter(member => !OPTIONAL.includes(member))
    expect(members.toSorted()).toEqual([...SERVER, ...verbs].toSorted())
  })
})
