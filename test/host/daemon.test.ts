import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { hostState } from '../../host/state.ts'
import { processRef } from '../../lib/kit/os/process.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { type DaemonWorld, daemonWorld, datastore, part, server, volume } from './daemon-world.ts'

const activeVolume = { method: 'update_volume', name: volume.name, status: 'ACTIVE' }
const deletedVolume = { ...activeVolume, status: 'GONE' }
const deletedServer = { method: 'update_server', name: server.name, status: 'GONE' }

let world: DaemonWorld
beforeEach(async () => {
  world = await daemonWorld()
})
afterEach(() => world.remove(), 60_000)

const request = (name: keyof DaemonWorld['daemon']['handlers']) => {
  const { handlers } = world.daemon
  const requests = {
    create_volume: () => handlers.create_volume(volume, undefined),
    create_server: () => handlers.create_server(server, undefined),
    delete_volume: () => handlers.delete_volume(part(volume.name), undefined),
    delete_server: () => handlers.delete_server(part(server.name), undefined),
    resize_volume: () => handlers.resize_volume({ ...part(volume.name), changeId: 'w1', sizeGb: 3 }, undefined),
    change_server: () =>
      handlers.change_server({ ...part(server.name), changeId: 'w2', flavor: { ramMb: 1024, vcpus: 2 } }, undefined),
    reboot_server: () => handlers.reboot_server({ ...part(server.name), changeId: 'w3' }, undefined),
  }
  return requests[name]()
}

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await realClock.sleep(10)
}

/** Never without a pid: 0 would be this process's whole group. */
function kill(pid: number | undefined): void {
  if (!pid) throw new Error('there is no agent')
  process.kill(pid, 'SIGKILL')
}

/** A process that has ended and is not reaped yet does not live, though it could still be signalled. */
const lives = async (pid: number | undefined) => pid !== undefined && (await processRef(pid)) !== undefined

describe('an agent', () => {
  // AWS's SDK asks for it; a uid without an entry in passwd has no other.
  it('has a home directory of its own', async () => {
    await request('create_volume')
    await request('create_server')
    const env = readFileSync(`/proc/${await world.agentOf(server.name)}/environ`, 'utf8').split('\0')
    expect(env).toContain(`HOME=${join(world.config.dataDir, 'servers', server.name)}`)
  })
})

describe('requests to a host daemon', () => {
  it('change nothing when repeated, and are answered each time', async () => {
    for (let time = 1; time <= 3; time++) await request('create_volume')
    await request('create_server')
    const agent = await world.agentOf(server.name)
    const files = world.files()
    await Promise.all([request('create_server'), request('create_volume'), request('create_server')])
    expect(await world.agentOf(server.name)).toBe(agent)
    expect(world.files()).toEqual(files)
    expect(world.reports.filter(({ name }) => name === volume.name)).toEqual([1, 2, 3, 4].map(() => activeVolume))
    // While it is built, its addresses are told already.
    const servers = world.reports.filter(({ name, status }) => name === server.name && status !== 'BUILD')
    expect(servers).toHaveLength(3)
    expect(servers[0]).toMatchObject({ status: 'ACTIVE', addresses: [{ port: expect.any(Number), type: 'private' }] })
    expect(servers[1]).toEqual(servers[0])
    expect(servers[2]).toEqual(servers[0])
  })

  it('for a server are not answered before its volume exists', async () => {
    await request('create_server')
    expect([world.reports, world.files()]).toEqual([[], []])
    await request('create_volume')
    await request('create_server')
    expect(world.reports.map(({ name, status }) => [name, status])).toEqual([
      [volume.name, 'ACTIVE'],
      [server.name, 'BUILD'],
      [server.name, 'ACTIVE'],
    ])
  })

  it('make nothing after the delete of their part, even after a restart', async () => {
    await request('delete_server')
    await request('delete_volume')
    await request('create_volume')
    await request('create_server')
    await world.restart()
    await request('create_volume')
    await request('create_server')
    expect(world.reports).toEqual([
      deletedServer,
      deletedVolume,
      deletedVolume,
      deletedServer,
      deletedVolume,
      deletedServer,
    ])
    expect(world.files()).toEqual([])
  })

  it('start no agent of a server whose delete a daemon that died had begun', async () => {
    await request('create_volume')
    await request('create_server')
    const agent = await world.agentOf(server.name)
    await world.daemon.close()
    kill(agent)
    await until(async () => !(await lives(agent)))
    await hostState(world.config.dataDir).deleted.put({ name: server.name, at: realClock.now() })
    await world.restart()
    expect(await world.agentOf(server.name)).toBe(agent)
    await request('delete_server')
    expect(world.files().filter(name => name.includes(server.name))).toEqual([])
    expect(world.reports.at(-1)).toEqual(deletedServer)
  })

  it('to delete a part end its agent and remove its files, and may be repeated', async () => {
    await request('create_volume')
    await request('create_server')
    const agent = await world.agentOf(server.name)
    expect(await lives(agent)).toBe(true)
    await Promise.all([request('delete_server'), request('delete_volume'), request('delete_server')])
    expect(await lives(agent)).toBe(false)
    expect(world.files()).toEqual([])
    expect(world.reports.slice(3)).toEqual([deletedServer, deletedVolume, deletedServer])
  })

  it('to change a part are executed once each, and answered with their change ids', async () => {
    for (const name of ['resize_volume', 'change_server', 'reboot_server'] as const) await request(name)
    expect(world.reports).toEqual([])
    await request('create_volume')
    await request('create_server')
    await request('resize_volume')
    expect(world.reports.at(-1)).toMatchObject({ ...activeVolume, changeId: 'w1' })
    // Its agent limits the database to that.
    expect(world.site(server.name)).toMatchObject({ sizeGb: 3 })
    await request('change_server')
    expect(world.reports.at(-1)).toMatchObject({ name: server.name, status: 'ACTIVE', changeId: 'w2' })
    expect(world.site(server.name)).toMatchObject({ flavor: { ramMb: 1024, vcpus: 2 } })
    const agent = await world.agentOf(server.name)
    // A database that was stopped on purpose starts with its server.
    const mark = join(world.config.dataDir, 'servers', server.name, 'stopped')
    writeFileSync(mark, '')
    await request('reboot_server')
    expect(existsSync(mark)).toBe(false)
    const again = await world.agentOf(server.name)
    expect(again).not.toBe(agent)
    expect([await lives(agent), await lives(again)]).toEqual([false, true])
    await request('reboot_server')
    expect(await world.agentOf(server.name)).toBe(again)
    expect(world.reports.at(-1)).toMatchObject({ name: server.name, status: 'ACTIVE', changeId: 'w3' })
    // A repeated create does not forget the last change.
    await request('create_volume')
    expect(world.reports.at(-1)).toMatchObject({ ...activeVolume, changeId: 'w1' })
  })

  it('to reboot a server start it once: one that was ended since stays so when the request is repeated', async () => {
    await request('create_volume')
    await request('create_server')
    await request('reboot_server')
    const { servers } = hostState(world.config.dataDir)
    const rebooted = (await servers.get(server.name))!
    await servers.put({ ...rebooted, ended: 'for a reason' })
    await request('reboot_server')
    expect(world.reports.at(-1)).toMatchObject({ status: 'ERROR', fault: 'for a reason', changeId: 'w3' })
  })

  it('to change to an engine that the host lacks are answered with the reason', async () => {
    await request('create_volume')
    await request('create_server')
    const datastore9 = { ...datastore, version: '9' }
    await world.daemon.handlers.change_server(
      { ...part(server.name), changeId: 'w4', datastore: datastore9 },
      undefined,
    )
    expect(world.reports.at(-1)).toMatchObject({ changeId: 'w4', fault: 'this host has no postgresql 9' })
    expect(world.site(server.name)).toMatchObject({ flavor: server.flavor })
  })

  it('to create a server that fails leave its address to the next', async () => {
    await request('create_volume')
    await world.daemon.handlers.create_server({ ...server, name: 'server-i1-0', userData: 'no JSON' }, undefined)
    expect(world.reports.at(-1)).toMatchObject({ name: 'server-i1-0', status: 'ERROR', fault: expect.any(String) })
    await request('create_server')
    const addresses = world.reports.flatMap(({ addresses = [] }) => addresses.map(({ address }) => address))
    // The first was told of while it was built; the second while it was built, and when it was.
    expect(addresses).toHaveLength(3)
    expect(new Set(addresses).size).toBe(1)
  })

  it('to create a volume for an engine that the host lacks are answered with the reason', async () => {
    await world.daemon.handlers.create_volume({ ...volume, datastore: { ...datastore, version: '9' } }, undefined)
    expect(world.reports).toEqual([{ ...activeVolume, status: 'ERROR', fault: 'this host has no postgresql 9' }])
  })
})

describe('an agent', () => {
  beforeEach(async () => {
    await request('create_volume')
    await request('create_server')
  })

  it('outlives its daemon and is found by the next one', async () => {
    const agent = await world.agentOf(server.name)
    await world.restart()
    expect(await world.agentOf(server.name)).toBe(agent)
    expect(await lives(agent)).toBe(true)
  })

  it('is started again when it ended, with the same endpoint', async () => {
    const [before] = world.reports.slice(-1)
    const agent = await world.agentOf(server.name)
    kill(agent)
    await until(async () => {
      const now = await world.agentOf(server.name)
      return now !== agent && lives(now)
    })
    await request('create_server')
    expect(world.reports.at(-1)).toEqual(before)
  }, 60_000)

  it('is given up and reported when it keeps ending', async () => {
    world.breakAgents()
    kill(await world.agentOf(server.name))
    await until(() => world.reports.some(({ status }) => status === 'ERROR'))
    expect(world.reports.at(-1)).toMatchObject({ name: server.name, fault: 'The agent of the instance keeps ending.' })
  }, 60_000)
})

describe('a datastore that the host does not know', () => {
  const unknown = { manager: 'db2', version: '1' }

  it('is reported as an error of the volume, and of the server', async () => {
    await world.daemon.handlers.create_volume({ ...volume, datastore: unknown }, undefined)
    expect(world.reports.at(-1)).toMatchObject({ name: volume.name, status: 'ERROR', fault: 'this host has no db2 1' })
    await request('create_volume')
    await world.daemon.handlers.create_server({ ...server, datastore: unknown }, undefined)
    const fault = "Datastore manager 'db2' cannot be found."
    expect(world.reports.at(-1)).toMatchObject({ name: server.name, status: 'ERROR', fault })
  })
})
