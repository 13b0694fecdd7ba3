import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import pg from 'pg'
import {
  type Answer,
  active,
  type Coffer,
  createInstance,
  deleteInstance,
  processesOf,
  type Session,
  startCoffer,
  until,
  wipe,
} from './coffer.ts'
import { clean } from './leftovers.ts'

const USERS = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}

let coffer: Coffer
let demo: Session
beforeAll(async () => {
  coffer = await startCoffer()
  demo = await coffer.login()
}, 60_000)
afterAll(async () => {
  expect(await coffer.stop()).toBe(0)
  await wipe(coffer.dataDir)
}, 60_000)

type Instance = Answer['body']

const dataOf = ({ id }: Instance) => join(coffer.dataDir, 'volumes', `volume-${id}-1`, 'data')
/** What a server cannot start without. */
const vital = (instance: Instance) => join(dataOf(instance), 'global', 'pg_control')

function killDatabase(instance: Instance): void {
  const [server] = processesOf(coffer.dataDir).filter(({ args }) =>
    args.includes(`/bin/postgres -D ${dataOf(instance)}`),
  )
  if (!server) throw new Error('no database runs')
  process.kill(server.pid, 'SIGKILL')
}

function shown(instance: Instance, word: string): Promise<Instance> {
  return until(`${word} instance`, async () => {
    const { body } = await demo.call('GET', `/instances/${instance.id}`)
    return body.instance.operating_status === word && body.instance
  })
}

async function ask({ addresses: [{ address, port = 5432 }] }: Instance, text: string): Promise<unknown[]> {
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart' })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

describe('a database that dies', () => {
  it('is SHUTDOWN with the reason until its agent could start it again, then HEALTHY without one', async () => {
    const made = await createInstance(demo, USERS)
    await ask(made, 'CREATE TABLE items AS SELECT 7 AS id')
    // Away for a moment, so that the state in between lasts until it was seen.
    renameSync(vital(made), `${vital(made)}.away`)
    killDatabase(made)
    const down = await shown(made, 'SHUTDOWN')
    expect(down.status).toBe('ACTIVE')
    expect(down.fault.message).toMatch(/^The database server (ended unexpectedly|does not start)/)
    expect((await demo.call('GET', `/instances/${made.id}/databases`)).status).toBe(422)
    renameSync(`${vital(made)}.away`, vital(made))
    const back = await active(demo, made.id)
    expect(back.fault).toBeUndefined()
    expect(await ask(back, 'SELECT id FROM items')).toEqual([{ id: 7 }])
    await deleteInstance(demo, made.id)
  }, 60_000)

  it('is FAILED with the reason once it was given up, and can be deleted', async () => {
    const made = await createInstance(demo, USERS)
    renameSync(vital(made), `${vital(made)}.away`)
    killDatabase(made)
    const failed = await shown(made, 'FAILED')
    expect(failed.status).toBe('ACTIVE')
    // What it died of, as the server itself says.
    expect(failed.fault.message).toMatch(
      /^The database server was given up: the server did not start: .*could not find the database system/,
    )
    expect(failed.fault.details).toBeNull()
    const seen = await (await coffer.login('openrc-admin')).call('GET', `/instances/${made.id}`)
    expect(seen.body.instance.fault.details).toMatch(/pg_control/)
    expect((await demo.call('POST', `/instances/${made.id}/databases`, { databases: [{ name: 'x' }] })).status).toBe(
      422,
    )
    await deleteInstance(demo, made.id)
    await clean(coffer)
  }, 90_000)
})

describe('the use of a volume', () => {
  it('is reported as it grows', async () => {
    const made = await createInstance(demo, USERS)
    const before = await until('use', async () => {
      const { body } = await demo.call('GET', `/instances/${made.id}`)
      return body.instance.volume.used as number | undefined
    })
    // 100 MiB that do not compress, without the time that WAL would take.
    await ask(
      made,
      "CREATE UNLOGGED TABLE big AS SELECT string_agg(md5(n::text || m::text), '') AS text FROM generate_series(1, 400) n, generate_series(1, 8192) m GROUP BY n",
    )
    const grown = await until('larger use', async () => {
      const { volume } = (await demo.call('GET', `/instances/${made.id}`)).body.instance
      return volume.used > before + 0.05 && volume
    })
    expect(grown.used_percent).toBeCloseTo(100 * grown.used, 0)
    await deleteInstance(demo, made.id)
  }, 90_000)
})
