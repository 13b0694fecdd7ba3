import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { ForeignFile, filesystemObjects } from '../../../../lib/platform/objects/filesystem/objects.ts'
import { systemRandom } from '../../../../lib/wiring/system.ts'
import { objectsCases } from '../../../cases/objects.ts'

const folder = () => mkdtemp(join(tmpdir(), 'coffer-objects-'))

objectsCases('objects in a folder', async () => {
  const root = await folder()
  const objects = filesystemObjects(join(root, 'objects'), { random: systemRandom })
  return { objects, close: () => rm(root, { recursive: true }) }
})

async function* content(text = 'x') {
  yield Buffer.from(text)
}

describe('objects in a folder in particular', () => {
  let root: string
  let outside: string
  beforeEach(async () => {
    root = await folder()
    outside = await folder()
    await writeFile(join(outside, '=secret'), 'secret')
  })
  afterEach(async () => {
    await rm(root, { recursive: true })
    await rm(outside, { recursive: true })
  })
  const objects = () => filesystemObjects(root, { random: systemRandom })

  it('follow no links to files or folders', async () => {
    await symlink(join(outside, '=secret'), join(root, '=file'))
    await symlink(outside, join(root, 'folder'))
    const calls = [
      () => objects().get('file'),
      () => objects().head('file'),
      () => objects().get('folder/secret'),
      () => objects().put('folder/new', content()),
      () => objects().delete('folder/secret'),
      () => objects().list('folder/', { limit: 9 }),
      () => objects().deletePrefix('folder/'),
    ]
    for (const call of calls) await expect(call()).rejects.toThrow(ForeignFile)
    expect(await objects().list('', { limit: 9 })).toEqual([])
    expect(await readdir(outside)).toEqual(['=secret'])
  })

  it('replace a link instead of writing through it', async () => {
    await symlink(join(outside, '=secret'), join(root, '=file'))
    await objects().put('file', content('new'))
    expect(await readFile(join(outside, '=secret'), 'utf8')).toBe('secret')
    expect(await objects().head('file')).toMatchObject({ size: 3 })
  })

  it('are readable for their owner alone, and leave neither drafts nor empty folders', async () => {
    await objects().put('a/b/c', content())
    await expect(objects().put('a/d', content(), { checksum: 'other' })).rejects.toThrow()
    expect((await stat(join(root, 'a', 'b', '=c'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(root, 'a'))).mode & 0o777).toBe(0o700)
    expect(await readdir(join(root, '.drafts'))).toEqual([])
    await objects().delete('a/b/c')
    expect(await readdir(root)).toEqual(['.drafts'])
  })

  it('throw for a folder in the place of a file', async () => {
    await mkdir(join(root, 'a', '=b'), { recursive: true })
    await expect(objects().get('a/b')).rejects.toThrow()
    await chmod(root, 0o700)
  })

  it('can be put and deleted by many calls at the same time', async () => {
    const all = Array.from({ length: 30 }, (_, index) => `a/b/${index % 3}`)
    await Promise.all(all.map((key, index) => (index % 2 ? objects().delete(key) : objects().put(key, content()))))
    for (const { key } of await objects().list('', { limit: 9 })) await objects().delete(key)
    expect(await readdir(root)).toEqual(['.drafts'])
  })
})
