import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import { bytesUnder, readText } from '../../../../lib/datastores/postgresql/cluster/files.ts'

describe('files', () => {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-files-'))
  afterAll(() => rmSync(directory, { recursive: true }))

  it('are counted by their blocks, without following links', async () => {
    const before = await bytesUnder(directory)
    writeFileSync(join(directory, 'large'), Buffer.alloc(100_000, 1))
    symlinkSync('/', join(directory, 'link'))
    expect(await bytesUnder(directory)).toBeGreaterThanOrEqual(before + 100_000)
    expect(await bytesUnder(directory)).toBeLessThan(before + 200_000)
  })

  it('are read as undefined if they are missing', async () => {
    writeFileSync(join(directory, 'text'), 'one')
    expect(await readText(join(directory, 'text'))).toBe('one')
    expect(await readText(join(directory, 'none'))).toBeUndefined()
  })
})
