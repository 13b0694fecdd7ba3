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
const UID = process.getuid?.() === 0 ? 261_000 : undefined
/** The addresses of the instances in the fixtures, and one that nobody else is likely to use now. */
const OLD_ADDRESSES = ['127.56.0.2', '127.57.0.2']
const ANN = { user: 'ann', password: 'secret1', database: 'cart' }

/** A data directory as an earlier version left it, made to fit this place (test/fixtures/README.md). */
function unpack(fixture: string, dataDir: string): void {
  const address = `127.56.${randomInt(1, 255)}.${randomInt(1, 255)}`
  mkdirSync(dataDir, { mode: 0o711 })
  const archive = zstdDecompressSync(readFileSync(join(FIXTURES, `data-${fixture}.tar.zst`)))
  execFileSync('tar', ['--extract', '--file', '-', '--directory', dataDir, '--no-same-owner'], { input: archive })
  for (const path of globSync(['servers/**/*.json', 'state/**/*.json'], { cwd: dataDir })) {
    const file = join(dataDir, path)
    const text = readFileSync(file, 'utf8').replaceAll('@DATA_DIR@', dataDir)
    writeFileSync(file, withAddress(text, address))
    if (UID !== undefined && path.startsWith('state/') && !path.includes('/deleted/')) {
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), uid: UID }))
    }
  }
  updateRecords(dataDir, address)
  if (UID === undefined) return
  for (const path of globSync(['volumes/*', 'volumes/*/**', 'servers/*-1', 'servers/*-1/**'], { cwd: dataDir })) {
    chownSync(join(dataDir, path), UID, UID)
  }
}

const withAddress = (text: string, address: string) =>
  OLD_ADDRESSES.reduce((result, old) => result.replaceAll(old, address), text)

/** Gives the instance an address that no other cloud of this run has, and keeps what would have expired since. */
function updateRecords(dataDir: string, address: string): void {
  const database = new DatabaseSync(join(dataDir, 'coffer.db'))
  for (const old of OLD_ADDRESSES) database.prepare('UPDATE records SET body = replace(body, ?, ?)').run(old, address)
  database.prepare('UPDATE records SET expires = ? WHERE expires IS NOT NULL').run(Date.now() + 86_400_000)
  database.close()
}

/** The fixtures, with the names of their instances, the operations of `shop`, and whether it had root enabled. */
const DIRECTORIES = [
  { fixture: '0.1.0', names: ['shop'], operations: ['restart', 'create_instance'], rootEnabled: false },
  {
    fixture: '0.1.0-tasks',
    names: ['broken', 'shop'],
    operations: ['resize_volume', 'restart', 'create_instance'],
    rootEnabled: true,
  },
]

describe.each(DIRECTORIES)(
  'a data directory of version $fixture',
  ({ fixture, names, operations: ended, rootEnabled }) => {
    const { demo, admin } = ownCloud(['--spares', '0'], dataDir => unpack(fixture, dataDir))
    const list = async (): Promise<{ id: string; name: string; status: string }[]> =>
      (await demo.call('GET', '/instances')).body.instances
    const shopId = async () => (await list()).find(({ name }) => name === 'shop')?.id ?? ''

    it('starts, and serves its instance with its data', async () => {
      expect((await list()).map(({ name }) => name).sort()).toEqual(names)
      const id = await shopId()
      const instance = await until('the database', async () => {
        const { body } = await demo.call('GET', `/instances/${id}`)
        return body.instance.operating_status === 'HEALTHY' && body.instance
      })
      expect(await query(instance, ANN, 'SELECT count(*)::int, max(name) FROM items')).toEqual([
        { count: 100, max: 'item 99' },
      ])
      const { users } = (await demo.call('GET', `/instances/${instance.id}/users`)).body
      expect(users).toEqual([{ name: 'ann', host: '%', databases: [{ name: 'cart' }] }])
    })

    it('has an administrator where its root was a superuser', async () => {
      const path = `/instances/${await shopId()}`
      expect((await demo.call('GET', `${path}/root`)).body).toEqual({ rootEnabled })
      const { body } = await demo.call('POST', `${path}/root`, { password: 'root-2' })
      expect(body.user.name).toBe('root')
      const { instance } = (await demo.call('GET', path)).body
      const asRoot = (text: string) => query(instance, { user: 'root', password: 'root-2', database: 'cart' }, text)
      const roles = 'SELECT rolname AS name FROM pg_roles WHERE rolsuper ORDER BY 1'
      expect(await asRoot(roles)).toEqual([{ name: 'os_maint' }])
      expect(await asRoot("SELECT to_regrole('postgres') AS earlier")).toEqual([{ earlier: null }])
      expect(await asRoot('SELECT count(*)::int FROM items')).toEqual([{ count: 100 }])
      await expect(asRoot("COPY items TO PROGRAM 'id'")).rejects.toThrow(/permission denied|superuser/)
      expect((await demo.call('DELETE', `${path}/root`)).status).toBe(204)
    })

    it('shows the operations that ended before the upgrade', async () => {
      const id = await shopId()
      const { operations } = (await demo.call('GET', `/instances/${id}/operations`)).body
      expect(operations.map(({ name, status }: { name: string; status: string }) => [name, status])).toEqual(
        ended.map(name => [name, 'DONE']),
      )
    })

    it('shows and deletes an instance whose create had failed', async () => {
      for (const { id, name, status } of await list()) {
        if (name !== 'broken') continue
        expect(status).toBe('ERROR')
        await deleteInstance(demo, id)
      }
      expect((await list()).map(({ name }) => name)).toEqual(['shop'])
    })

    it('accepts new commands, an operation and a delete', async () => {
      const id = await shopId()
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
      expect(instances.map(({ name }: { name: string }) => name).sort()).toEqual(['gone', ...names].sort())
    })
  },
)
