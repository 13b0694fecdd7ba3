import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { NewerSchema, sqliteStore } from '../../../../lib/platform/store/sqlite/store.ts'
import { BadTransaction, type Change, Conflict, type Item, type Key } from '../../../../lib/ports/store.ts'
import { storeCases } from '../../../cases/store.ts'
import { virtualClock } from '../../../kit/virtual-clock.ts'

function setUp(path = ':memory:') {
  const clock = virtualClock()
  const store = sqliteStore(path, { clock })
  return { store, clock, advance: clock.advance, close: store.close }
}

storeCases('the SQLite store', async () => setUp())

const put = (id: string, fields: Partial<Change & { op: 'put' }> = {}): Change => ({
  op: 'put',
  key: { project: 'demo', id },
  body: {},
  ...fields,
})

describe('the SQLite store in particular', () => {
  let directory: string
  let path: string

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'coffer-'))
    path = join(directory, 'store.db')
  })
  afterEach(() => rm(directory, { recursive: true }))

  it('keeps its records in the file', async () => {
    const { store } = setUp(path)
    await store.transact([put('a#1', { body: 'kept' })])
    await store.close()
    await store.close()
    const again = setUp(path)
    expect(await again.store.get({ project: 'demo', id: 'a#1' })).toMatchObject({ version: 1, body: 'kept' })
    await again.close()
  })

  it('shares the file with other processes', async () => {
    const [first, second] = [setUp(path), setUp(path)]
    await first.store.transact([put('a#1', { was: 0 })])
    await expect(second.store.transact([put('a#1', { was: 0 })])).rejects.toThrow(Conflict)
    await second.store.transact([put('a#1', { was: 1 })])
    expect((await first.store.list('demo', 'a', { limit: 1 }))[0]!.version).toBe(2)
    await first.close()
    await second.close()
  })

  it('refuses a file of a newer schema and does not change it', async () => {
    await setUp(path).close()
    const file = new DatabaseSync(path)
    const { user_version: version } = file.prepare('PRAGMA user_version').get() as { user_version: number }
    file.exec(`PRAGMA user_version = ${version + 1}`)
    expect(() => setUp(path)).toThrow(NewerSchema)
    expect(file.prepare('PRAGMA user_version').get()).toEqual({ user_version: version + 1 })
    file.close()
  })

  it('migrates the first schema, without its index by kind', async () => {
    const file = new DatabaseSync(path)
    file.exec(`
      CREATE TABLE records (
        project TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
        due INTEGER, instance TEXT, expires INTEGER, PRIMARY KEY (project, id)
      ) WITHOUT ROWID;
      CREATE INDEX records_by_kind ON records (kind);
      CREATE INDEX records_by_instance ON records (instance, id) WHERE instance IS NOT NULL;
      INSERT INTO records VALUES ('demo', 'a#1', 'a', 3, '{"kept":true}', 5, 'i1', NULL), ('other', 'a#2', 'a', 1, '{}', NULL, NULL, NULL);
      PRAGMA user_version = 1`)
    file.close()
    const { store, close } = setUp(path)
    const all = await store.all('a', { limit: 9 })
    expect(all.items.map(({ key, version, body, due, subject }) => [key.id, version, body, due, subject?.id])).toEqual([
      ['a#1', 3, { kept: true }, 5, 'i1'],
      ['a#2', 1, {}, undefined, undefined],
    ])
    await store.transact([put('a#1', { was: 3 }), put('a#3', { was: 0 })])
    await close()
  })

  it('migrates the second schema, whose records belong to instances', async () => {
    const file = new DatabaseSync(path)
    file.exec(`
      CREATE TABLE records (
        project TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL,
        due INTEGER, instance TEXT, expires INTEGER, PRIMARY KEY (project, id)
      ) WITHOUT ROWID;
      CREATE INDEX records_by_due ON records (due) WHERE due IS NOT NULL;
      CREATE INDEX records_by_instance ON records (instance, id) WHERE instance IS NOT NULL;
      CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL;
      INSERT INTO records VALUES ('demo', 'a#1', 3, '{}', 5, 'i1', NULL), ('demo', 'a#2', 1, '{}', NULL, 'i2', NULL);
      PRAGMA user_version = 2`)
    const { store, close } = setUp(path)
    const subject = { kind: 'instance', id: 'i1' }
    const item = { key: { project: 'demo', id: 'a#1' }, version: 3, body: {}, due: 5, subject }
    expect(await store.ofSubject(subject, undefined, { limit: 9 })).toEqual([item])
    await store.transact([put('a#1', { was: 3, subject, parent: subject })])
    expect(await store.ofParent(subject, 'a', { limit: 9 })).toMatchObject([{ version: 4 }])
    await close()
    const freshPath = join(directory, 'fresh.db')
    await setUp(freshPath).close()
    const fresh = new DatabaseSync(freshPath)
    expect(schemaOf(file)).toEqual(schemaOf(fresh))
    for (const database of [file, fresh]) database.close()
  })

  it('checkpoints its log in a thread after many writes', async () => {
    const { store, close } = setUp(path)
    for (let batch = 0; batch < 25; batch++) {
      await store.transact(Array.from({ length: 80 }, (_, index) => put(`a#${batch}-${index}`)))
    }
    // Check the file without its log. Another connection stays open, since closing the last one would checkpoint.
    const other = setUp(path)
    await close()
    await copyFile(path, join(directory, 'alone.db'))
    const alone = new DatabaseSync(join(directory, 'alone.db'))
    expect(alone.prepare('SELECT count(*) AS count FROM records').get()).toEqual({ count: 2_000 })
    alone.close()
    await other.close()
  })

  it('uses an index for each listing', () => {
    setUp(path).close()
    const file = new DatabaseSync(path)
    const plan = (where: string) =>
      file
        .prepare(`EXPLAIN QUERY PLAN SELECT * FROM records WHERE ${where} LIMIT 9`)
        .all()
        .map(step => String(step['detail']).replace(/ \(.*/, ''))
    const range = 'id >= ? AND id < ?'
    expect(plan(`project = ? AND ${range} ORDER BY id`)).toEqual(['SEARCH records USING PRIMARY KEY'])
    expect(plan('project > ? ORDER BY project')).toEqual(['SEARCH records USING PRIMARY KEY'])
    expect(plan('due <= ? ORDER BY due, project, id')).toEqual(['SEARCH records USING INDEX records_by_due'])
    for (const column of ['subject', 'parent'])
      expect(plan(`${column} = ? AND ${range} ORDER BY id, project`)).toEqual([
        `SEARCH records USING INDEX records_by_${column}`,
      ])
    file.close()
  })

  it('sweeps expired records, the oldest first, a bounded number at a time', async () => {
    const { store, clock, close } = setUp(path)
    const expires = (ms: number) => clock.now() + ms
    await store.transact([1, 2, 3, 4].map(at => put(`a#${at}`, { expires: expires(at * 10) })))
    await store.transact([put('a#0')])
    expect(store.sweepExpired(expires(30), 2)).toBe(2)
    expect((await store.list('demo', 'a', { limit: 9 })).map(({ key }) => key.id)).toEqual(['a#0', 'a#3', 'a#4'])
    expect(store.sweepExpired(expires(30), 2)).toBe(1)
    expect(store.sweepExpired(expires(30), 2)).toBe(0)
    await close()
  })

  it('refuses to add to a field that is not a number, and a body that JSON cannot represent', async () => {
    const { store, close } = setUp()
    await store.transact([put('a#1', { body: { text: 'x' } }), put('a#2', { body: 'x' })])
    for (const id of ['a#1', 'a#2']) {
      const add: Change = { op: 'add', key: { project: 'demo', id }, field: 'text', by: 1 }
      await expect(store.transact([put('a#3'), add])).rejects.toThrow(BadTransaction)
    }
    await expect(store.transact([put('a#3', { body: undefined })])).rejects.toThrow(BadTransaction)
    expect(await store.get({ project: 'demo', id: 'a#3' })).toBeUndefined()
    await close()
  })
})

/** The version, the columns and the indexes of a file. */
function schemaOf(file: DatabaseSync) {
  const all = (text: string) => file.prepare(text).all()
  return [
    all('PRAGMA user_version'),
    all("SELECT name, type FROM pragma_table_info('records') ORDER BY cid"),
    all("SELECT name, replace(sql, '\"', '') AS sql FROM sqlite_schema WHERE type = 'index' ORDER BY name"),
  ]
}

/** The simplest possible store: a transaction works on a copy, which then replaces the records. */
class Model {
  items = new Map<string, Item>()

  /** The Conflict, or undefined. */
  transact(changes: Change[], now: number): Conflict | undefined {
    const items = new Map([...this.items].filter(([, item]) => item.expires === undefined || item.expires > now))
    for (const [index, change] of changes.entries()) {
      const name = `${change.key.project} ${change.key.id}`
      const old = items.get(name)
      const version = old?.version ?? 0
      if (change.op === 'add') {
        const body = { ...(old?.body as Record<string, number> | undefined) }
        const result = (body[change.field] ?? 0) + change.by
        if (result < (change.min ?? result) || result > (change.max ?? result)) return new Conflict(index, 'bound')
        items.set(name, { ...old, key: change.key, version: version + 1, body: { ...body, [change.field]: result } })
        continue
      }
      if (change.was !== undefined && change.was !== version) return new Conflict(index, 'version')
      const { op: _, was: __, ...rest } = change
      if (change.op === 'put') items.set(name, { ...rest, body: change.body, version: version + 1 })
      if (change.op === 'delete') items.delete(name)
    }
    this.items = items
    return undefined
  }

  /** In the order of ids, then projects. */
  live(now: number): Item[] {
    const items = [...this.items.values()].filter(item => item.expires === undefined || item.expires > now)
    const name = ({ key }: Item) => `${key.id} ${key.project}`
    return items.sort((first, second) => (name(first) < name(second) ? -1 : 1))
  }
}

const START = 1_000_000
const keys: fc.Arbitrary<Key> = fc.record({
  project: fc.constantFrom('*', 'p'),
  id: fc.constantFrom('a#1', 'a#2', 'ab#1', 'b#1'),
})
const was = fc.integer({ min: 0, max: 3 })
const SUBJECTS = ['instance', 'backup'].map(kind => ({ kind, id: 'i' }))
const fields = {
  due: fc.integer({ min: 0, max: 9 }),
  subject: fc.constantFrom(...SUBJECTS),
  parent: fc.constantFrom(...SUBJECTS),
  expires: fc.integer({ min: START - 10, max: START + 200 }),
}
const body = fc.dictionary(fc.constantFrom('n', 'm'), fc.integer({ min: -5, max: 5 }), { noNullPrototype: true })
const small = fc.integer({ min: -3, max: 3 })
const changes: fc.Arbitrary<Change> = fc.oneof(
  fc.record(
    { op: fc.constant('put' as const), key: keys, body, was, ...fields },
    { requiredKeys: ['op', 'key', 'body'] },
  ),
  fc.record({ op: fc.constant('delete' as const), key: keys, was }, { requiredKeys: ['op', 'key'] }),
  fc.record({ op: fc.constant('check' as const), key: keys, was }),
  fc.record(
    { op: fc.constant('add' as const), key: keys, field: fc.constantFrom('n', 'm'), by: small, min: small, max: small },
    { requiredKeys: ['op', 'key', 'field', 'by'] },
  ),
)
const byKey = (change: Change) => `${change.key.project} ${change.key.id}`
const step = fc.record({
  changes: fc.uniqueArray(changes, { maxLength: 4, selector: byKey }),
  pause: fc.constantFrom(0, 0, 10, 50),
})

describe('any series of transactions', () => {
  it('leaves the same records as in a simple model', async () => {
    await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25 }), agree), { numRuns: 150 })
  })
})

async function agree(steps: { changes: Change[]; pause: number }[]): Promise<void> {
  const clock = virtualClock(START)
  const store = sqliteStore(':memory:', { clock })
  const model = new Model()
  for (const { changes, pause } of steps) {
    const outcome = await store.transact(changes).catch((error: unknown) => error)
    expect(outcome).toEqual(model.transact(changes, clock.now()))
    if (pause > 0) await clock.advance(pause)
    const live = model.live(clock.now())
    const ofKind = (kind: string, items = live) => items.filter(({ key }) => key.id.startsWith(`${kind}#`))
    const limit = 100
    for (const project of ['*', 'p'])
      expect(await store.list(project, 'a', { limit })).toEqual(
        ofKind('a').filter(({ key }) => key.project === project),
      )
    expect(sorted((await store.all('a', { limit })).items)).toEqual(ofKind('a'))
    for (const subject of SUBJECTS) {
      const owned = live.filter(item => item.subject?.kind === subject.kind)
      expect(sorted(await store.ofSubject(subject, undefined, { limit }))).toEqual(owned)
      expect(sorted(await store.ofSubject(subject, 'a', { limit }))).toEqual(ofKind('a', owned))
      const parts = live.filter(item => item.parent?.kind === subject.kind)
      expect(sorted(await store.ofParent(subject, undefined, { limit }))).toEqual(parts)
    }
    const due = await store.due(5, limit)
    expect(sorted(due)).toEqual(live.filter(item => item.due !== undefined && item.due <= 5))
    expect(due.map(item => item.due)).toEqual(due.map(item => item.due!).sort((first, second) => first - second))
  }
  await store.close()
}

function sorted(items: Item[]): Item[] {
  const model = new Model()
  for (const item of items) model.items.set(`${item.key.project} ${item.key.id}`, item)
  return model.live(0)
}
