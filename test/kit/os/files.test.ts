import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { exists, replaceFile, writeAtomically } from '../../../lib/kit/os/files.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'coffer-files-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

describe.each([
  ['replaceFile', replaceFile],
  ['writeAtomically', writeAtomically],
])('%s', (name, write) => {
  it('writes a private file, and replaces it whole', async () => {
    const path = join(directory, name)
    await write(path, 'one')
    await write(path, 'two')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(readFileSync(path, 'utf8')).toBe('two')
    expect(existsSync(`${path}.new`)).toBe(false)
  })
})

describe('a missing folder', () => {
  it('is made by writeAtomically and not by replaceFile', async () => {
    const path = join(directory, 'missing', 'file')
    await expect(replaceFile(path, 'one')).rejects.toMatchObject({ code: 'ENOENT' })
    expect(existsSync(join(directory, 'missing'))).toBe(false)
    await writeAtomically(path, 'one')
    expect(readFileSync(path, 'utf8')).toBe('one')
  })
})

describe('exists', () => {
  it('counts a link, whatever it points to', async () => {
    symlinkSync('nowhere', join(directory, 'link'))
    expect(await exists(join(directory, 'link'))).toBe(true)
    expect(await exists(join(directory, 'none'))).toBe(false)
  })
})
