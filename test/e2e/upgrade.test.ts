import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { chownSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { zstdDecompressSync } from 'node:zlib'
import { describe, expect, it } from '@jest/globals'
import { query } from './api-helpers.ts'
import { ownCloud } from './cloud.ts'
import { deleteInstance, until, waitUntilActive } from './coffer.ts'

const FIXTURES = join(import.meta.dirname, '..', 'fixtures')
/** As root, instances run as users of their own; the fixtures were made without root. */
const UID = process.getuid?.() === 0 ? 61_000 : undefined
/** The address of the instance in the fixture, and one that nobody else is likely to use now. */
const OLD_ADDRESS = '127.56.0.2'
const ADDRESS = `127.56.${randomInt(1, 255)}.${randomInt(1, 255)}`
const ANN = { user: 'ann', password: 'secret1', database: 'cart' }

/** A data directory as an earlier version left it, made to fit this place (test/fixtures/README.md). */
function unpack(version: string, dataDir: string): void {
  mkdirSync(dataDir, { mode: 0o711 })
  const archive = zstdDecompressSync(readFileSync(join(FIXTURES, `data-${version}.tar.zst`)))
  execFileSync('tar', ['--extract', '--file', '-', '--directory', dataDir, '--no-same-owner'], { input: archive })
  for (const path of globSync(['servers/**/*.json', 'state/**/*.json'], { cwd: dataDir })) {
    const file = join(dataDir, path)
    const text = readFileSync(file, 'utf8').replaceAll('@DATA_DIR@', dataDir)
    writeFileSync(file, text.replaceAll(OLD_ADDRESS, ADDRESS))
    if (UID !== undefined && path.startsWith('state/') && !path.includes('/deleted/')) {
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), uid: UID }))
    }
  }
  updateRecords(dataDir)
  if (UID === undefined) return
  for (const path of globSync(['volumes/*', 'volumes/*/**', 'servers/*-1', 'servers/*-1/**'], { cwd: dataDir })) {
    chownSync(join(dataDir, path), UID, UID)
  }
}

/** Gives the instance an address that no other cloud of this run has, and keeps what would have expired since. */
function updateRecords(dataDir: string): void {
  const database = new DatabaseSync(join(dataDir, 'coffer.db'))
  database.prepare('UPDATE records SET body = replace(body, ?, ?)').run(OLD_ADDRESS, ADDRESS)
  database.prepare('UPDATE records SET expires = ? WHERE expires IS NOT NULL').run(Date.now() + 86_400_000)
  database.close()
}

describe('a data directory of version 0.1.0', () => {
  const { demo, admin } = ownCloud(['--spares', '0'], dataDir => unpack('0.1.0', dataDir))

  it('starts, and serves its instance with its data', async () => {
    const { instances } = (await demo.call('GET', '/instances')).body
    expect(instances.map(({ name }: { name: string }) => name)).toEqual(['shop'])
    const instance = await until('the database', async () => {
      const { body } = await demo.call('GET', `/instances/${instances[0].id}`)
      return body.instance.operating_status === 'HEALTHY' && body.instance
    })
    expect(await query(instance, ANN, 'SELECT count(*)::int, max(name) FROM items')).toEqual([
      { count: 100, max: 'item 99' },
    ])
    const { users } = (await demo.call('GET', `/instances/${instance.id}/users`)).body
    expect(users).toEqual([{ name: 'ann', host: '%', databases: [{ name: 'cart' }] }])
  })

  it('shows the operations that ended before the upgrade', async () => {
    const [{ id }] = (await demo.call('GET', '/instances')).body.instances
    const { operations } = (await demo.call('GET', `/instances/${id}/operations`)).body
    expect(operations.map(({ name, status }: { name: string; status: string }) => [name, status])).toEqual([
      ['restart', 'DONE'],
      ['create_instance', 'DONE'],
    ])
  })

  it('accepts new commands, an operation and a delete', async () => {
    const [{ id }] = (await demo.call('GET', '/instances')).body.instances
    const path = `/instances/${id}`
    expect((await demo.call('POST', `${path}/databases`, { databases: [{ name: 'stock' }] })).status).toBe(202)
    expect((await demo.call('POST', `${path}/action`, { restart: {} })).status).toBe(202)
    const instance = await waitUntilActive(demo, id)
    expect(await query(instance, ANN, 'SELECT count(*)::int FROM items')).toEqual([{ count: 100 }])
    const { databases } = (await demo.call('GET', `${path}/databases`)).body
    expect(databases).toEqual([{ name: 'cart' }, { name: 'stock' }])
    await deleteInstance(demo, id)
    const { quotas } = (await demo.call('GET', `/mgmt/quotas/${demo.project}`)).body
    expect(quotas.map(({ in_use }: { in_use: number }) => in_use)).toEqual(quotas.map(() => 0))
  })

  it('shows the instance that was deleted before the upgrade', async () => {
    const { instances } = (await admin.call('GET', '/mgmt/instances?deleted=true')).body
    expect(instances.map(({ name }: { name: string }) => name).sort()).toEqual(['gone', 'shop'])
  })
})
