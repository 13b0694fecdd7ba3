import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import type { Clock, Log } from '../../../../lib/kit/clock.ts'
import { BadKeyFile, keyfileSecrets } from '../../../../lib/platform/secrets/keyfile/secrets.ts'
import { secretsCases } from '../../../cases/secrets.ts'
import { seededRandom, silentLog } from '../../../kit/random.ts'
import { realClock, virtualClock } from '../../../kit/virtual-clock.ts'

const folders: string[] = []
let seed = 0
const open = (path: string, clock: Pick<Clock, 'now'> = realClock, log: Log = silentLog) =>
  keyfileSecrets({ path, random: seededRandom(++seed), clock, log })

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
  return { secrets: open(path), reopen: () => open(path) }
})

const good = { current: 'a', keys: [{ id: 'a', key: key(7) }] }

describe('the key file', () => {
  it('creates the file for its owner alone and leaves no other file', async () => {
    const path = await place()
    const { id, bytes } = await open(path).current()
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
    const secrets = open(await written({ current: 'new', keys }))
    expect((await secrets.current()).id).toBe('new')
    expect((await secrets.byId('old'))?.bytes).toEqual(new Uint8Array(32).fill(1))
  })

  it('is read again within a second of a change, in all processes', async () => {
    const clock = virtualClock()
    const path = await written({ current: 'old', keys: [{ id: 'old', key: key(1) }] })
    const [first, second] = [open(path, clock), open(path, clock)]
    for (const secrets of [first, second]) expect((await secrets.current()).id).toBe('old')
    const keys = [
      { id: 'old', key: key(1) },
      { id: 'new', key: key(2) },
    ]
    await writeFile(path, JSON.stringify({ current: 'new', keys }))
    expect((await first.current()).id).toBe('old')
    await clock.advance(1_000)
    for (const secrets of [first, second]) expect((await secrets.current()).id).toBe('new')
    expect((await first.byId('old'))?.bytes).toEqual(new Uint8Array(32).fill(1))
    await writeFile(path, JSON.stringify({ current: 'new', keys: keys.slice(1), revoked: ['old'] }))
    await clock.advance(1_000)
    expect(await first.ids()).toEqual(['new'])
    expect(await first.byId('old')).toBeUndefined()
    expect(await first.revoked()).toEqual(['old'])
  })

  it.each<[string, (path: string) => Promise<unknown>]>([
    ['is half written', path => writeFile(path, '{"current": "a", "ke')],
    ['is open to others', path => chmod(path, 0o644)],
    ['is gone', path => rm(path)],
    [
      'has other bytes under an id',
      path => writeFile(path, JSON.stringify({ ...good, keys: [{ id: 'a', key: key(9) }] })),
    ],
  ])('goes on with its keys and says so once, when the file %s', async (_, change) => {
    const clock = virtualClock()
    const errors: unknown[] = []
    const path = await written(good)
    const secrets = open(path, clock, { ...silentLog, error: fields => errors.push(fields) })
    const before = await secrets.current()
    await change(path)
    for (let second = 0; second < 3; second++) {
      await clock.advance(1_000)
      expect(await secrets.current()).toEqual(before)
    }
    expect(errors).toHaveLength(1)
    await rm(path, { force: true })
    await writeFile(path, JSON.stringify({ current: 'b', keys: [...good.keys, { id: 'b', key: key(8) }] }), {
      mode: 0o600,
    })
    await clock.advance(1_000)
    expect((await secrets.current()).id).toBe('b')
  })

  it.each([0o640, 0o604, 0o620, 0o601, 0o666])('refuses a file of mode %o', async mode => {
    const path = await written(good, mode)
    await expect(open(path).current()).rejects.toThrow(/open to others/)
  })

  it('accepts the file after its mode was repaired', async () => {
    const path = await written(good, 0o644)
    const secrets = open(path)
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
    const error = await open(path)
      .current()
      .catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(BadKeyFile)
    expect(String(error)).toContain(path)
    expect(String(error)).not.toMatch(/SECRET|BwcHB/)
    expect(await readFile(path, 'utf8')).toBe(typeof content === 'string' ? content : JSON.stringify(content))
  })

  it('refuses a folder, and a path whose folder does not exist', async () => {
    const path = await place()
    await expect(open(join(path, '..')).current()).rejects.toThrow(BadKeyFile)
    await expect(open(join(path, 'keys.json')).current()).rejects.toThrow(/ENOENT/)
  })

  it('checks the file that a link points to', async () => {
    const path = await place()
    await symlink(await written(good, 0o644), path)
    await expect(open(path).current()).rejects.toThrow(/open to others/)
  })
})
