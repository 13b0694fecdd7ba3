import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { exists, replaceFile } from '../../../lib/kit/os/files.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'coffer-files-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

describe('replaceFile', () => {
  it('writes a private file, and replaces it whole', async () => {
    const path = join(directory, 'file')
    await replaceFile(path, 'one')
    await replaceFile(path, 'two')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path, 'utf8')).toBe('two')
    expect(readdirSync(directory)).toEqual(['file'])
  })

  it('does not make a missing folder', async () => {
    const path = join(directory, 'missing', 'file')
    await expect(replaceFile(path, 'one')).rejects.toMatchObject({ code: 'ENOENT' })
    expect(existsSync(join(directory, 'missing'))).toBe(false)
  })
})

describe('replaceFile, where a tenant could put links', () => {
  it('follows none, neither at its own name nor at its draft’s', async () => {
    const [path, victim] = [join(directory, 'linked'), join(directory, 'victim')]
    writeFileSync(victim, 'precious')
    for (const name of [path, `${path}.new`]) symlinkSync(victim, name)
    await replaceFile(path, 'mine', { mode: 0o640 })
    expect(readFileSync(victim, 'utf8')).toBe('precious')
    expect(lstatSync(path).isFile()).toBe(true)
    expect(readFileSync(path, 'utf8')).toBe('mine')
  })

  it('leaves no draft when it fails', async () => {
    const path = join(directory, 'taken')
    mkdirSync(join(path, 'inner'), { recursive: true })
    const before = readdirSync(directory)
    await expect(replaceFile(path, 'mine')).rejects.toThrow()
    expect(readdirSync(directory)).toEqual(before)
  })
})

describe('exists', () => {
  it('counts a link, whatever it points to', async () => {
    symlinkSync('nowhere', join(directory, 'link'))
    expect(await exists(join(directory, 'link'))).toBe(true)
    expect(await exists(join(directory, 'none'))).toBe(false)
  })
})
