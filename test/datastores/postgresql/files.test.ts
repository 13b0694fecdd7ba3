import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { bytesUnder, textOf, writePrivate } from '../../../lib/datastores/postgresql/files.ts'
import { hbaText } from '../../../lib/datastores/postgresql/hba.ts'
import { settingsFor, settingsText } from '../../../lib/datastores/postgresql/settings.ts'
import { alive, runningAs, startTicks } from '../../../lib/kit/process.ts'

const site = { address: '127.0.0.9', port: 5432 }
const megabytes = (value: string | number | undefined) => Number(String(value).replace('MB', ''))

describe('settings', () => {
  it('fit every flavor', () => {
    fc.assert(
      fc.property(fc.integer({ min: 128, max: 1 << 20 }), fc.integer({ min: 1, max: 256 }), (ramMb, vcpus) => {
        const settings = settingsFor({ ...site, flavor: { ramMb, vcpus } })
        expect(megabytes(settings['shared_buffers'])).toBeLessThanOrEqual(ramMb / 4 + 1)
        expect(megabytes(settings['work_mem'])).toBeGreaterThanOrEqual(4)
        expect(Number(settings['max_connections'])).toBeGreaterThan(20)
        expect(megabytes(settings['min_wal_size'])).toBeLessThan(megabytes(settings['max_wal_size']))
        expect(() => settingsText(settings)).not.toThrow()
      }),
    )
  })

  it('cannot break out of their line', () => {
    expect(settingsText({ search_path: "a'b\\c" })).toContain("search_path = 'a''b\\\\c'\n")
    expect(() => settingsText({ search_path: "a'\narchive_command = 'x" })).toThrow('search_path')
    expect(() => settingsText({ 'a = b #': 1 })).toThrow()
  })
})

describe('pg_hba.conf', () => {
  it('pins a user before everyone is let in, and names it in quotes', () => {
    const lines = hbaText([{ name: 'al"ice', host: '10.%' }]).split('\n')
    const pinned = lines.indexOf('host all "al""ice" 10.0.0.0/8 scram-sha-256')
    expect(lines[pinned + 1]).toBe('host all "al""ice" all reject')
    expect(lines.indexOf('host all all all scram-sha-256')).toBeGreaterThan(pinned)
  })

  it('has nothing that lets in without a password', () => {
    const methods = hbaText([{ name: 'a', host: '10.0.0.1' }])
      .split('\n')
      .filter(line => line.startsWith('host'))
      .map(line => line.split(' ').at(-1))
    expect(new Set(methods)).toEqual(new Set(['scram-sha-256', 'reject']))
  })

  it('refuses what would become a line of its own', () => {
    expect(() => hbaText([{ name: 'a\nhost all all all trust', host: '10.0.0.1' }])).toThrow()
    expect(() => hbaText([{ name: 'a', host: '10.0.0.1 trust\n' }])).toThrow()
  })
})

describe('processes', () => {
  it('are known by their start, not their number alone', async () => {
    const self = await runningAs(process.pid)
    expect(self && (await alive(self))).toBe(true)
    expect(await alive({ pid: process.pid, started: '1' })).toBe(false)
    expect(await runningAs(2 ** 22 + 1)).toBeUndefined()
  })

  it('may have any name, and are dead as zombies', () => {
    const rest = '1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0'
    expect(startTicks(`5 (a) R (b) S ${rest}`)).toBe('777')
    expect(startTicks(`5 (postgres) Z ${rest}`)).toBeUndefined()
  })
})

describe('files', () => {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-files-'))
  afterAll(() => rmSync(directory, { recursive: true }))

  it('are private and replaced whole', async () => {
    const path = join(directory, 'secret')
    await writePrivate(path, 'one')
    await writePrivate(path, 'two')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await textOf(path)).toBe('two')
    expect(await textOf(join(directory, 'none'))).toBeUndefined()
  })

  it('are counted by their blocks, links not followed', async () => {
    const before = await bytesUnder(directory)
    writeFileSync(join(directory, 'large'), Buffer.alloc(100_000, 1))
    symlinkSync('/', join(directory, 'link'))
    expect(await bytesUnder(directory)).toBeGreaterThanOrEqual(before + 100_000)
    expect(await bytesUnder(directory)).toBeLessThan(before + 200_000)
  })
})
