import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { AddressClaim } from '../../guest-agent/address-claim.ts'
import { AddressKeeper } from '../../host/address-keeper.ts'
import { isFree } from '../../host/addresses.ts'
import type { HostConfig } from '../../host/config.ts'
import { UNCONFINED } from '../../host/confinement.ts'
import { InstanceQueues } from '../../host/instance-queues.ts'
import { addressSocket, hostState, type ServerState } from '../../host/state.ts'
import { MACHINES } from '../../lib/datastores/machines.ts'
import { MANIFESTS } from '../../lib/datastores/manifests.ts'
import { silentLog } from '../kit/random.ts'
import { realClock, virtualClock } from '../kit/virtual-clock.ts'
import { hostConfig, part } from './daemon-world.ts'

const CLAIM = join(import.meta.dirname, '..', '..', 'guest-agent', 'address-claim.ts')

let config: HostConfig
let keeper: AddressKeeper
/** The daemon's. */
const clock = virtualClock()
let server: ServerState
beforeEach(async () => {
  config = hostConfig()
  mkdirSync(join(config.dataDir, 'servers'))
  server = {
    ...part('server-i1-1'),
    address: '127.0.0.1',
    port: await freePort(),
    volume: 'volume-i1-1',
    flavor: { ramMb: 512, vcpus: 1 },
    datastore: { manager: 'postgresql', version: '18' },
  }
  keeper = newKeeper()
})
afterEach(async () => {
  await keeper.close()
  rmSync(join(config.dataDir, '..'), { recursive: true })
})

const newKeeper = () =>
  new AddressKeeper({
    config,
    machines: MACHINES,
    manifests: MANIFESTS,
    confinement: UNCONFINED,
    state: hostState(config.dataDir),
    queues: new InstanceQueues(),
    clock,
    log: silentLog,
    report: async () => {},
  })
const newClaim = () =>
  new AddressClaim({ path: addressSocket(config.dataDir, server.name), clock: realClock, log: silentLog })

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = Object(probe.address())
  probe.close()
  await once(probe, 'close')
  return port
}

/** Keeps the address until nobody has claimed it in time. */
async function hold(): Promise<void> {
  await keeper.keep(server)
  await clock.advance(3_000)
  await keeper.look()
}

async function untilFree(expected: boolean): Promise<void> {
  while ((await isFree(server)) !== expected) await realClock.sleep(5)
}

describe('the address of a server', () => {
  it('is held until its agent claims it, and from when the claim ends', async () => {
    await keeper.keep(server)
    await keeper.look()
    // The agent has a moment for its first claim.
    expect(await isFree(server)).toBe(true)
    await clock.advance(3_000)
    await keeper.look()
    expect(await isFree(server)).toBe(false)
    const claim = newClaim()
    await claim.take()
    expect(await isFree(server)).toBe(true)
    claim.release()
    await untilFree(false)
    await claim.take()
    expect(await isFree(server)).toBe(true)
    claim.release()
  })

  it('refuses whoever connects while it is held', async () => {
    await hold()
    const client = connect(server.port, server.address)
    const [error] = await once(client, 'error')
    expect(error).toMatchObject({ code: 'ECONNRESET' })
  })

  it('stays claimed over a restart of the daemon', async () => {
    await keeper.keep(server)
    const claim = newClaim()
    await claim.take()
    await keeper.close()
    keeper = newKeeper()
    await keeper.keep(server)
    // The agent comes back by itself; a start of its database would ask at once.
    await claim.take()
    await keeper.look()
    expect(await isFree(server)).toBe(true)
    claim.release()
  })

  it('is given up with its server', async () => {
    await hold()
    await keeper.release(server.name)
    expect([await isFree(server), existsSync(addressSocket(config.dataDir, server.name))]).toEqual([true, false])
    await newClaim().take()
  })

  it('belongs to whoever listens there already', async () => {
    const database = createServer().listen(server.port, server.address)
    await once(database, 'listening')
    await hold()
    database.close()
    await once(database, 'close')
    expect(await isFree(server)).toBe(true)
    await keeper.look()
    expect(await isFree(server)).toBe(false)
  })

  it('is claimed through a path of any length', async () => {
    config = { ...config, dataDir: join(config.dataDir, 'x'.repeat(120)) }
    mkdirSync(join(config.dataDir, 'servers', server.name), { recursive: true })
    keeper = newKeeper()
    await hold()
    const agent = `
      const { AddressClaim } = await import(${JSON.stringify(CLAIM)})
      const log = { warn(fields) { console.log(fields.error) } }
      await new AddressClaim({ path: ${JSON.stringify(addressSocket(config.dataDir, server.name))}, log }).take()
      console.log('claimed')
      setInterval(() => {}, 1_000)`
    const cwd = join(config.dataDir, 'servers', server.name)
    const child = spawn(process.execPath, ['--input-type=module', '-e', agent], {
      cwd,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [output] = await once(child.stdout, 'data')
    expect([String(output), await isFree(server)]).toEqual(['claimed\n', true])
    child.kill()
    await untilFree(false)
    config = { ...config, dataDir: join(config.dataDir, '..') }
  })
})
