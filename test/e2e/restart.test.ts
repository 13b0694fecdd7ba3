import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { query } from './api-helpers.ts'
import { ANN, CART, ownCloud } from './cloud.ts'
import {
  createInstance,
  deleteInstance,
  launch,
  processesOf,
  requestInstance,
  startCoffer,
  until,
  waitUntilActive,
  wipe,
} from './coffer.ts'
import { connect, type Instance } from './fault-injection.ts'
import { tempDir } from './temp-dir.ts'

const { coffer, demo, restart, resume } = ownCloud(['--spares', '0'])

describe('a restart of the cloud', () => {
  const authority = () => readFileSync(join(coffer.dataDir, 'ca.pem'), 'utf8')

  it('brings instances back with their data, address and TLS settings', async () => {
    const created = await createInstance(demo, CART)
    const path = `/instances/${created.id}`
    await query(created, ANN, 'CREATE TABLE items AS SELECT 7 AS id')
    const ssl = { enable: true, mode: 'enforced' }
    expect((await demo.call('POST', `${path}/ssl`, { ssl })).status).toBe(200)
    const ca = authority()
    await restart()
    const instance = await waitUntilActive(demo, created.id)
    expect(instance.addresses).toEqual(created.addresses)
    expect(authority()).toBe(ca)
    expect((await demo.call('GET', `${path}/ssl`)).body.ssl).toMatchObject({ status: 'on', mode: 'enforced' })
    await expect(connect(instance)).rejects.toThrow(/rejects connection/)
    const client = await connect(instance, { ssl: { ca } })
    expect((await client.query('SELECT id FROM items')).rows).toEqual([{ id: 7 }])
    expect((await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')).rows).toEqual([
      { ssl: true },
    ])
    await client.end()
    // The agent's own connection is not refused.
    expect((await demo.call('GET', `${path}/users`)).body.users).toHaveLength(1)
    await deleteInstance(demo, created.id)
  })

  it('continues a create', async () => {
    const { id } = await requestInstance(demo, CART)
    await restart()
    expect(await query(await waitUntilActive(demo, id), ANN, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    await deleteInstance(demo, id)
  })
})

describe('a control plane that is killed', () => {
  const ids: string[] = []

  it.each([0, 2, 5, 10, 20])('%i ms after a create with an Idempotency-Key was sent creates one instance', async ms => {
    const create = (): Promise<{ status: number; text: string; body: { instance: Instance } }> =>
      demo.call(
        'POST',
        '/instances',
        { instance: { name: 'once', flavorRef: 1, volume: { size: 1 } } },
        { 'idempotency-key': `kill ${ms}` },
      )
    const interrupted = create().catch(() => undefined)
    await new Promise(resolve => setTimeout(resolve, ms))
    await coffer.kill()
    const first = await interrupted
    await resume(await startCoffer(coffer.dataDir))
    const second = await create()
    expect(second.status).toBe(200)
    if (first) expect(second.text).toBe(first.text)
    ids.push(second.body.instance.id)
    const { instances } = (await demo.call('GET', '/instances')).body
    expect(instances.map(({ id }: Instance) => id).toSorted()).toEqual(ids.toSorted())
  })

  it('continues all these creates after its restart', async () => {
    await Promise.all(ids.map(id => waitUntilActive(demo, id)))
    await Promise.all(ids.map(id => deleteInstance(demo, id)))
  })
})

describe('a signal', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)(
    '%s that comes twice, while the cloud is starting, stops it',
    async signal => {
      const dir = tempDir()
      const dataDir = join(dir, 'data')
      const { child, exited, output } = launch(['--data-dir', dataDir, '--port', '0'])
      // The daemon runs before the ready line is printed.
      const daemonRuns = () => processesOf(dataDir).some(({ args }) => args.includes('host.json'))
      await until('daemon', async () => output().includes('ready') || daemonRuns())
      child.kill(signal)
      child.kill(signal)
      expect(await exited).toBe(0)
      expect(processesOf(dataDir)).toEqual([])
      await wipe(dir)
    },
  )
})
