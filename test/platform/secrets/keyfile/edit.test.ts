import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { withKey } from '../../../../lib/platform/secrets/key-set.ts'
import { editKeyFile } from '../../../../lib/platform/secrets/keyfile/edit.ts'

const key = (fill: number, bytes = 32) => Buffer.alloc(bytes, fill).toString('base64url')

describe('an edit of the key file', () => {
  let folder: string
  let path: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coffer-key-edit-'))
    path = join(folder, 'master.key')
  })
  afterAll(() => rm(folder, { recursive: true }))
  beforeEach(() => writeFile(path, JSON.stringify({ current: 'a', keys: [{ id: 'a', key: key(1) }] }), { mode: 0o600 }))

  it('replaces the file, for its owner alone, and leaves no other', async () => {
    await editKeyFile(path, document => withKey(document, 'b', new Uint8Array(32).fill(2)))
    expect(JSON.parse(await readFile(path, 'utf8')).keys).toEqual([
      { id: 'a', key: key(1) },
      { id: 'b', key: key(2) },
    ])
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['master.key'])
  })

  it.each([
    ['a short key', new Uint8Array(31), 'b'],
    ['an id that exists', new Uint8Array(32), 'a'],
  ])('is refused with %s, and changes nothing', async (_, bytes, id) => {
    const before = await readFile(path, 'utf8')
    await expect(editKeyFile(path, document => withKey(document, id, bytes))).rejects.toThrow(/has/)
    expect(await readFile(path, 'utf8')).toBe(before)
  })

  it('that changes nothing does not write', async () => {
    const before = await stat(path, { bigint: true })
    await editKeyFile(path, document => document)
    expect((await stat(path, { bigint: true })).ctimeNs).toBe(before.ctimeNs)
  })
})
