import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { makeFolder, ownershipOf, takeDataDir } from '../../host/data-dir.ts'

let base: string
let dataDir: string
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'coffer-data-dir-'))
  dataDir = join(base, 'data')
  mkdirSync(dataDir)
})
afterEach(() => rmSync(base, { recursive: true, force: true }))

const daemon = { pid: 4711, started: '1' }

describe('the ownership of a data directory', () => {
  it('is held by the daemon that took it, until a successor takes it', async () => {
    await takeDataDir(dataDir, daemon)
    expect(await ownershipOf(dataDir, 4711)).toBe('held')
    await takeDataDir(dataDir, { pid: 4712, started: '2' })
    expect(await ownershipOf(dataDir, 4711)).toBe('replaced')
    expect(await ownershipOf(dataDir, 4712)).toBe('held')
  })

  it('ends with the directory, even if something recreates its path', async () => {
    await takeDataDir(dataDir, daemon)
    rmSync(dataDir, { recursive: true })
    expect(await ownershipOf(dataDir, 4711)).toBe('removed')
    mkdirSync(join(dataDir, 'spares'), { recursive: true })
    expect(await ownershipOf(dataDir, 4711)).toBe('removed')
  })

  it('ends when a file takes the place of the directory', async () => {
    rmSync(dataDir, { recursive: true })
    writeFileSync(dataDir, '')
    expect(await ownershipOf(dataDir, 4711)).toBe('removed')
  })

  it('is held while the pid file is half written', async () => {
    writeFileSync(join(dataDir, 'host.pid'), '{"pid":47')
    expect(await ownershipOf(dataDir, 4711)).toBe('held')
  })

  it('cannot be taken where there is no directory', async () => {
    rmSync(dataDir, { recursive: true })
    await expect(takeDataDir(dataDir, daemon)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(existsSync(dataDir)).toBe(false)
  })
})

describe('makeFolder', () => {
  it('makes the missing folders below a data directory, and never the directory itself', async () => {
    expect(await makeFolder(dataDir, ['state', 'servers'])).toBe(join(dataDir, 'state', 'servers'))
    expect(await makeFolder(dataDir, ['state', 'volumes'])).toBe(join(dataDir, 'state', 'volumes'))
    rmSync(dataDir, { recursive: true })
    await expect(makeFolder(dataDir, ['state', 'servers'])).rejects.toMatchObject({ code: 'ENOENT' })
    expect(existsSync(dataDir)).toBe(false)
  })
})
