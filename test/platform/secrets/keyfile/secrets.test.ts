import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import { BadKeyFile, keyfileSecrets } from '../../../../lib/platform/secrets/keyfile/secrets.ts'
import { secretsCases } from '../../../cases/secrets.ts'
import { seededRandom } from '../../../kit/random.ts'

const folders: string[] = []
let seed = 0
const fresh = () => seededRandom(++seed)

async function place(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'coffer-keys-'))
  folders.push(folder)
  return join(folder, 'keys.json')
}

async function written(content: unknown, mode = 0o600): Promise<string> {
  const path = await place()
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content), { mode })
  await chmod(path, mode)
  return path
}

const key = (fill: number, bytes = 32) => Buffer.alloc(bytes, fill).toString('base64url')

afterAll(() => Promise.all(folders.map(folder => rm(folder, { recursive: true }))))

secretsCases('the key file', async () => {
  const path = await place()
  return { secrets: keyfileSecrets(path, fresh()), reopen: () => keyfileSecrets(path, fresh()) }
})

describe('the key file', () => {
  it('creates the file for its owner alone and leaves no other file', async () => {
    const path = await place()
    const { id, bytes } = await keyfileSecrets(path, fresh()).current()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const expected = { current: id, keys: [{ id, key: Buffer.from(bytes).toString('base64url') }] }
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(expected)
    expect(await readdir(join(path, '..'))).toEqual(['keys.json'])
  })

  it('finds older keys', async () => {
    const keys = [
      { id: 'old', key: key(1) },
      { id: 'new', key: key(2) },
    ]
    const secrets = keyfileSecrets(await written({ current: 'new', keys }), fresh())
    expect((await secrets.current()).id).toBe('new')
    expect((await secrets.byId('old'))?.bytes).toEqual(new Uint8Array(32).fill(1))
  })

  it('reads the file once', async () => {
    const path = await place()
    const secrets = keyfileSecrets(path, fresh())
    const before = await secrets.current()
    await rm(path)
    expect(await secrets.current()).toEqual(before)
  })

  const good = { current: 'a', keys: [{ id: 'a', key: key(7) }] }
  it.each([0o640, 0o604, 0o620, 0o601, 0o666])('refuses a file of mode %o', async mode => {
    const path = await written(good, mode)
    await expect(keyfileSecrets(path, fresh()).current()).rejects.toThrow(/open to others/)
  })

  it('accepts the file after its mode was repaired', async () => {
    const path = await written(good, 0o644)
    const secrets = keyfileSecrets(path, fresh())
    await expect(secrets.current()).rejects.toThrow(BadKeyFile)
    await chmod(path, 0o600)
    expect((await secrets.current()).id).toBe('a')
  })

  it.each([
    ['no content', ''],
    ['content that is not JSON', '{"current": "a", "keys": [{"id": "a", "key": "SECRET'],
    ['other JSON', []],
    ['no keys', { current: 'a', keys: [] }],
    ['no current key', { keys: good.keys }],
    ['an unknown current key', { ...good, current: 'b' }],
    ['a short key', { current: 'a', keys: [{ id: 'a', key: key(7, 31) }] }],
    ['a long key', { current: 'a', keys: [{ id: 'a', key: key(7, 33) }] }],
    ['a key that is not base64url', { current: 'a', keys: [{ id: 'a', key: `${key(7).slice(1)}+` }] }],
    ['an id twice', { current: 'a', keys: [...good.keys, { id: 'a', key: key(8) }] }],
  ])('refuses a key file with %s, and does not quote it', async (_, content) => {
    const path = await written(content)
    const error = await keyfileSecrets(path, fresh())
      .current()
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(BadKeyFile)
    expect(String(error)).toContain(path)
    expect(String(error)).not.toMatch(/SECRET|BwcHB/)
    expect(await readFile(path, 'utf8')).toBe(typeof content === 'string' ? content : JSON.stringify(content))
  })

  it('refuses a folder, and a path whose folder does not exist', async () => {
    const path = await place()
    await expect(keyfileSecrets(join(path, '..'), fresh()).current()).rejects.toThrow(BadKeyFile)
    await expect(keyfileSecrets(join(path, 'keys.json'), fresh()).current()).rejects.toThrow(/ENOENT/)
  })

  it('checks the file that a link points to', async () => {
    const path = await place()
    await symlink(await written(good, 0o644), path)
    await expect(keyfileSecrets(path, fresh()).current()).rejects.toThrow(/open to others/)
  })
})
