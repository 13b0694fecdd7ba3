import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { type PostgresqlStore, postgresqlStore } from '../../../../lib/platform/store/postgresql/store.ts'
import {
  BadTransaction,
  type Change,
  Conflict,
  type Item,
  NewerSchema,
  type Store,
} from '../../../../lib/ports/store.ts'
import { systemClock, systemRandom } from '../../../../lib/wiring/system.ts'
import { storeCases } from '../../../cases/store.ts'
import { log } from '../../../datastores/postgresql/cluster.ts'
import { virtualClock } from '../../../kit/virtual-clock.ts'
import { newServer, type Server } from './server.ts'

// A bound for what hangs: a real server on a busy machine.
jest.setTimeout(60_000)

let server: Server
let schemas = 0

beforeAll(async () => {
  server = await newServer()
}, 60_000)
afterAll(() => server.remove(), 60_000)

const newSchema = () => `coffer ${++schemas}`

function open(schema: string, options: { clock?: typeof systemClock; connections?: number; url?: string } = {}) {
  return postgresqlStore({ url: server.url, clock: systemClock, random: systemRandom, log, schema, ...options })
}

storeCases(
  'the PostgreSQL store',
  async () => {
    const clock = virtualClock()
    const store = await open(newSchema(), { clock, connections: 4 })
    return { store, clock, advance: clock.advance, close: store.close }
  },
  60_000,
)

const put = (id: string, fields: Partial<Change & { op: 'put' }> = {}): Change => ({
  op: 'put',
  key: { project: 'demo', id },
  body: {},
  ...fields,
})
const add = (id: string, by = 1): Change => ({ op: 'add', key: { project: 'demo', id }, field: 'n', by })
const read = (store: Store, id: string) => store.get({ project: 'demo', id })
const numberIn = (item: Item | undefined) => (item?.body as { n: number } | undefined)?.n

/** Two stores of one schema, as two processes have them. */
async function two<T>(
  work: (first: PostgresqlStore, second: PostgresqlStore, schema: string) => Promise<T>,
): Promise<T> {
  const schema = newSchema()
  const stores = await Promise.all([open(schema), open(schema)])
  try {
    return await work(...stores, schema)
  } finally {
    await Promise.all(stores.map(store => store.close()))
  }
}

describe('the PostgreSQL store in particular', () => {
  it('creates its schema once if many processes open it at the same time', async () => {
    const schema = newSchema()
    const stores = await Promise.all(Array.from({ length: 6 }, () => open(schema, { connections: 1 })))
    await stores[0]!.transact([put('a#1', { body: 'kept' })])
    for (const store of stores) expect(await read(store, 'a#1')).toMatchObject({ body: 'kept' })
    await Promise.all(stores.map(store => store.close()))
  })

  it('refuses a newer schema and does not change it', async () => {
    const schema = newSchema()
    await (await open(schema)).close()
    await server.query(`UPDATE "${schema}".form SET version = 99`)
    await expect(open(schema)).rejects.toThrow(NewerSchema)
    expect((await server.query(`SELECT version FROM "${schema}".form`)).rows).toEqual([{ version: 99 }])
  })

  it('upgrades the first schema, whose records belong to instances', async () => {
    const schema = newSchema()
    await server.query(`
      CREATE SCHEMA "${schema}"; SET search_path = "${schema}";
      CREATE TABLE form (version int NOT NULL); INSERT INTO form VALUES (1);
      CREATE TABLE records (
        project text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, kind text COLLATE "C" NOT NULL,
        version bigint NOT NULL, body text NOT NULL,
        due double precision, instance text COLLATE "C", expires double precision, PRIMARY KEY (project, id)
      );
      CREATE INDEX records_by_instance ON records (instance, id, project) WHERE instance IS NOT NULL;
      CREATE TABLE transactions (id uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
      INSERT INTO records VALUES ('demo', 'a#1', 'a', 3, '{}', 5, 'i1', NULL), ('demo', 'a#2', 'a', 1, '{}', NULL, 'i2', NULL)`)
    const store = await open(schema)
    const subject = { kind: 'instance', id: 'i1' }
    const item = { key: { project: 'demo', id: 'a#1' }, version: 3, body: {}, due: 5, subject }
    expect(await store.ofSubject(subject, undefined, { limit: 9 })).toEqual([item])
    await store.transact([put('a#1', { was: 3, subject, parent: subject })])
    expect(await store.ofParent(subject, 'a', { limit: 9 })).toMatchObject([{ version: 4 }])
    expect((await server.query(`SELECT version FROM "${schema}".form`)).rows).toEqual([{ version: 2 }])
    await store.close()
  })

  it('lets one of two processes create a record, and reports a conflict to the other', () =>
    two(async (first, second) => {
      for (let round = 0; round < 20; round++) {
        const ends = await Promise.allSettled([first, second].map(s => s.transact([put(`a#${round}`, { was: 0 })])))
        expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
        const [lost] = ends.flatMap(end => (end.status === 'rejected' ? [end.reason] : []))
        expect(lost).toBeInstanceOf(Conflict)
      }
    }))

  it('keeps the records of a check unchanged until the transaction ends', () =>
    two(async (first, second) => {
      // Each creates its own record if the other's does not exist: of two concurrent ones, one must fail.
      const check = (id: string): Change => ({ op: 'check', key: { project: 'demo', id }, was: 0 })
      for (let round = 0; round < 20; round++) {
        const [a, b] = [`a#${round}`, `b#${round}`]
        await Promise.allSettled([first.transact([put(a), check(b)]), second.transact([put(b), check(a)])])
        expect([await read(first, a), await read(first, b)].filter(Boolean).length).toBe(1)
      }
    }))

  it('runs transactions with the same keys in any order without a deadlock', () =>
    two(async (first, second) => {
      const ids = ['a#1', 'a#2', 'a#3', 'a#4']
      const forward = ids.map(id => add(id))
      const work = [first, second].flatMap((store, index) =>
        Array.from({ length: 40 }, () => store.transact(index === 0 ? forward : forward.toReversed())),
      )
      await Promise.all(work)
      for (const id of ids) expect(await read(first, id)).toMatchObject({ version: 80, body: { n: 80 } })
    }))

  it('finds nothing for a key with a NUL, and refuses to write one', async () => {
    const store = await open(newSchema())
    expect(await read(store, 'a#\0')).toBeUndefined()
    expect(await store.list('\0', 'a', { limit: 1 })).toEqual([])
    await expect(store.transact([put('a#\0')])).rejects.toThrow(BadTransaction)
    await store.transact([put('a#1', { body: { text: '\0' } })])
    expect(await read(store, 'a#1')).toMatchObject({ body: { text: '\0' } })
    await store.close()
    await store.close()
  })

  it('works after a transaction that was refused', async () => {
    const store = await open(newSchema(), { connections: 1 })
    await store.transact([put('a#1', { body: 'text' })])
    await expect(store.transact([put('a#2'), add('a#1')])).rejects.toThrow(BadTransaction)
    await store.transact([put('a#3')])
    expect([await read(store, 'a#2'), await read(store, 'a#3')]).toMatchObject([undefined, { version: 1 }])
    await store.close()
  })

  it('sweeps expired records, the oldest first, a bounded number at a time', async () => {
    const store = await open(newSchema())
    const now = systemClock.now()
    await store.transact([1, 2, 3, 4].map(at => put(`a#${at}`, { expires: now + at * 100_000 })))
    await store.transact([put('a#0')])
    const sweepTime = now + 300_000
    expect(await store.sweepExpired(sweepTime, 2)).toBe(2)
    expect((await store.list('demo', 'a', { limit: 9 })).map(({ key }) => key.id)).toEqual(['a#0', 'a#3', 'a#4'])
    expect([await store.sweepExpired(sweepTime, 2), await store.sweepExpired(sweepTime, 2)]).toEqual([1, 0])
    await store.close()
  })

  it('uses an index for each listing', async () => {
    const schema = newSchema()
    const store = await open(schema)
    const plan = async (where: string) => {
      const { rows } = await server
        .query(
          `SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN SELECT * FROM "${schema}".records WHERE ${where} LIMIT 9`,
        )
        .then(result => (Array.isArray(result) ? result[2] : result))
      return rows.map((row: Record<string, string>) => row['QUERY PLAN']).join('\n')
    }
    const range = "id >= 'a' AND id > '' AND id < 'b'"
    expect(await plan(`project = 'p' AND ${range} ORDER BY id`)).toContain('records_pkey')
    expect(await plan("kind = 'k' AND (project, id) > ('', '') ORDER BY project, id")).toContain('records_by_kind')
    expect(await plan('due <= 1 ORDER BY due, project, id')).toContain('records_by_due')
    for (const column of ['subject', 'parent'])
      expect(await plan(`${column} = 'i' AND ${range} ORDER BY id, project`)).toContain(`records_by_${column}`)
    for (const where of [`project = 'p' AND ${range} ORDER BY id`, 'due <= 1 ORDER BY due, project, id'])
      expect(await plan(where)).not.toContain('Sort')
    await store.close()
  })
})

describe('the PostgreSQL store after its server is killed', () => {
  it(
    'neither loses nor repeats any of many changes under way',
    () =>
      two(async (first, second) => {
        let count = 0
        let stopped = false
        // Without a condition, a change that is made twice shows in the sum.
        const worker = async (store: Store) => {
          while (!stopped) {
            count++
            await store.transact([add('n#1'), put(`a#${String(count).padStart(6, '0')}`, { was: 0 })])
          }
        }
        const workers = [first, second].flatMap(store => Array.from({ length: 6 }, () => worker(store)))
        for (let round = 0; round < 4; round++) {
          const before = count
          while (count < before + 150) await systemClock.sleep(5)
          await server.kill()
          await server.start()
        }
        stopped = true
        await Promise.all(workers)
        expect(numberIn(await read(first, 'n#1'))).toBe(count)
        let [listed, after] = [0, '']
        for (let page = await first.list('demo', 'a', { limit: 500 }); page.length > 0; ) {
          listed += page.length
          after = page.at(-1)!.key.id
          page = await first.list('demo', 'a', { after, limit: 500 })
        }
        expect(listed).toBe(count)
      }),
    120_000,
  )

  it('does not repeat a transaction if the response to its commit is lost', async () => {
    const schema = newSchema()
    const cut = await cutting(server.url)
    const store = await open(schema, { connections: 1, url: cut.url })
    cut.next()
    await store.transact([add('n#1'), put('a#1', { was: 0 })])
    expect(cut.cuts()).toBe(1)
    expect(numberIn(await read(store, 'n#1'))).toBe(1)
    await store.close()
    cut.close()
  })
})

/** A proxy to the server that drops the response to the next COMMIT and breaks the connection. */
async function cutting(url: string) {
  const { hostname, port } = new URL(url)
  let [armed, cuts] = [false, 0]
  const proxy = createServer(client => {
    let doomed = false
    const upstream = connect(Number(port), hostname)
    upstream.on('error', () => client.destroy())
    upstream.on('close', () => client.destroy())
    client.on('error', () => upstream.destroy())
    client.on('close', () => upstream.end())
    client.on('data', chunk => {
      if (armed && chunk.includes('COMMIT')) doomed = true
      upstream.write(chunk)
    })
    upstream.on('data', chunk => {
      if (!doomed) return void client.write(chunk)
      armed = false
      cuts++
      client.destroy()
    })
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const proxyUrl = new URL(url)
  const address = proxy.address()
  proxyUrl.host = `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  return {
    url: proxyUrl.href,
    next: () => {
      armed = true
    },
    cuts: () => cuts,
    close: () => proxy.close(),
  }
}
