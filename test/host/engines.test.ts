import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from '@jest/globals'
import { engineFor, installEngine } from '../../host/engines.ts'
import { MACHINES } from '../../lib/datastores/machines.ts'
import { replaceFile } from '../../lib/kit/os/files.ts'

let base: string
let from: string
let to: string
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'coffer-engines-'))
  from = join(base, 'installed')
  to = join(base, 'runtime-18')
  mkdirSync(join(from, 'bin'), { recursive: true })
  mkdirSync(join(from, 'lib'))
  writeFileSync(join(from, 'bin', 'postgres'), 'program')
  chmodSync(join(from, 'bin', 'postgres'), 0o755)
  writeFileSync(join(from, 'lib', 'libpq.so.5.18'), 'library')
  symlinkSync('libpq.so.5.18', join(from, 'lib', 'libpq.so'))
})
afterEach(() => rmSync(base, { recursive: true, force: true }))

it('installs an engine where every uid can read it, by links, whatever the umask', async () => {
  const before = process.umask(0o077)
  await installEngine({ from, stamp: '1' }, to).finally(() => process.umask(before))
  for (const folder of [to, join(to, 'bin'), join(to, 'lib')]) expect(statSync(folder).mode & 0o777).toBe(0o755)
  const program = statSync(join(to, 'bin', 'postgres'))
  expect([program.mode & 0o777, program.ino]).toEqual([0o755, statSync(join(from, 'bin', 'postgres')).ino])
  expect(readlinkSync(join(to, 'lib', 'libpq.so'))).toBe('libpq.so.5.18')
  expect(readFileSync(join(to, 'lib', 'libpq.so'), 'utf8')).toBe('library')
})

it('installs an engine once for all callers, and again when its stamp changes', async () => {
  const source = { from, stamp: '1' }
  await Promise.all([installEngine(source, to), installEngine(source, to), installEngine(source, to)])
  const inode = lstatSync(to).ino
  await installEngine(source, to)
  expect(lstatSync(to).ino).toBe(inode)
  writeFileSync(join(from, 'bin', 'initdb'), 'new')
  await installEngine({ from, stamp: '2' }, to)
  expect(readFileSync(join(to, 'bin', 'initdb'), 'utf8')).toBe('new')
  // What an end in the middle left is no engine.
  rmSync(`${to}.stamp`)
  mkdirSync(`${to}.new`)
  await installEngine({ from, stamp: '2' }, to)
  expect([existsSync(join(to, 'bin', 'initdb')), existsSync(`${to}.new`)]).toEqual([true, false])
})

it('throws for an engine that the host does not have', async () => {
  const runtime = { node: '', agent: '', engines: { postgresql: { '18': to } } }
  expect(await engineFor({ runtime }, { manager: 'postgresql', version: '18' }, MACHINES)).toBe(to)
  for (const [manager, version] of [
    ['postgresql', '9'],
    ['mysql', '8'],
  ] as const) {
    await expect(engineFor({ runtime }, { manager, version }, MACHINES)).rejects.toThrow(
      `this host has no ${manager} ${version}`,
    )
  }
  const missing = { ...runtime, sources: { postgresql: { '18': { from: join(base, 'nowhere'), stamp: '1' } } } }
  await expect(engineFor({ runtime: missing }, { manager: 'postgresql', version: '18' }, MACHINES)).rejects.toThrow(
    'ENOENT',
  )
  const restored = { ...runtime, sources: { postgresql: { '18': { from, stamp: '1' } } } }
  await engineFor({ runtime: restored }, { manager: 'postgresql', version: '18' }, MACHINES)
  expect(existsSync(join(to, 'bin', 'postgres'))).toBe(true)
})

it('prepares a copy, never what it was copied from, and makes it anew when that changes', async () => {
  const change = (revision: string) => ({
    revision,
    run: (folder: string) => replaceFile(join(folder, 'bin', 'postgres'), `changed ${revision}`),
  })
  await installEngine({ from, stamp: '1' }, to, change('a'))
  expect(readFileSync(join(to, 'bin', 'postgres'), 'utf8')).toBe('changed a')
  await installEngine({ from, stamp: '1' }, to, change('b'))
  expect(readFileSync(join(to, 'bin', 'postgres'), 'utf8')).toBe('changed b')
  expect(readFileSync(join(from, 'bin', 'postgres'), 'utf8')).toBe('program')
})
