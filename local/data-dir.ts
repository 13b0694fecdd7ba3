import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { codeOf } from '../lib/kit/errors.ts'
import { syncFolderSync } from '../lib/kit/os/files.ts'
import { isAlive, type ProcessRef, processRef } from '../lib/kit/os/process.ts'
import { StartupError } from './options.ts'

/** Version of the data directory's layout, raised when an older Coffer could not read it. */
const LAYOUT_VERSION = 1
/** Folders that an instance's uid passes through, but cannot list. */
const FOLDERS = ['volumes', 'servers', 'spares', 'runtime']

/** Throws StartupError on a Node.js that is too old. */
export function checkNode(version: string): void {
  if (Number(version.split('.')[0]) < 24)
    throw new StartupError(`Node.js 24 or newer is needed, this is ${version}: run it with 'npm start'`)
}

/** Creates the data directory and its folders. Throws StartupError if it cannot be used. */
export function prepareDataDir(dataDir: string, root: boolean): void {
  try {
    makeFolder(dataDir)
    accessSync(dataDir, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new StartupError(`the data directory ${dataDir} cannot be written: ${reasonOf(error)}`)
  }
  if (root) assertReachable(dataDir)
  checkLayoutVersion(dataDir)
  for (const folder of FOLDERS) {
    mkdirSync(join(dataDir, folder), { recursive: true })
    chmodSync(join(dataDir, folder), 0o711)
  }
  chmodSync(dataDir, 0o711)
  syncFolderSync(dataDir)
}

/** Like mkdir with `recursive`, which loops for ever below a folder that answers ENOENT, as /proc does. */
function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  if (path !== dirname(path)) makeFolder(dirname(path))
  mkdirSync(path, { mode: 0o711 })
  // With its name all would be lost.
  syncFolderSync(dirname(path))
}

/** As root, instances run as uids of their own, which must be able to enter every folder above. */
function assertReachable(dataDir: string): void {
  for (let path = dirname(dataDir); ; path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) {
      throw new StartupError(
        `the data directory ${dataDir} cannot be reached by the databases' users: ${path} is closed to them; choose another with --data-dir`,
      )
    }
    if (path === dirname(path)) return
  }
}

function checkLayoutVersion(dataDir: string): void {
  const path = join(dataDir, 'form')
  const version = Number(readTextIfExists(path) ?? LAYOUT_VERSION)
  if (!(version <= LAYOUT_VERSION))
    throw new StartupError(
      `the data directory ${dataDir} was written by a newer Coffer (layout ${version}, this one reads ${LAYOUT_VERSION})`,
    )
  writeFileSync(path, String(LAYOUT_VERSION), { mode: 0o600 })
}

/**
 * Locks the data directory for this process; call the result to unlock it. Throws StartupError if another Coffer has
 * it. The system holds the lock of `lock.db`, and ends it with the process; `lock` names the holder.
 */
export async function lock(dataDir: string): Promise<() => void> {
  const path = join(dataDir, 'lock')
  const held = openLocked(join(dataDir, 'lock.db'))
  const holder = parseProcessRef(readTextIfExists(path))
  // A version without `lock.db` may still run.
  if (!held || (holder && (await isAlive(holder)))) {
    held?.close()
    const pid = holder ? ` (pid ${holder.pid})` : ''
    throw new StartupError(`the data directory ${dataDir} is in use by another Coffer${pid}`)
  }
  rmSync(path, { force: true })
  writeFileSync(path, JSON.stringify(await processRef(process.pid)), { mode: 0o600, flag: 'wx' })
  return () => {
    rmSync(path, { force: true })
    held.close()
  }
}

/** An SQLite file with a transaction that only one process can have; undefined if another has it. */
function openLocked(path: string): DatabaseSync | undefined {
  // SQLite would make it readable for others. It is never opened otherwise: closing it would end the lock.
  if (!existsSync(path)) writeFileSync(path, '', { mode: 0o600 })
  const db = new DatabaseSync(path, { timeout: 0 })
  try {
    db.exec('BEGIN IMMEDIATE')
    return db
  } catch (error) {
    db.close()
    if (isBusy(error)) return undefined
    throw new StartupError(`the file ${path} cannot be locked: ${reasonOf(error)}`)
  }
}

/** An error of SQLite has the code in `errcode`: 5 = SQLITE_BUSY. */
const isBusy = (error: unknown) =>
  typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === 5

/** A process as a lock or pid file names it; undefined if the text is anything else. */
export function parseProcessRef(text: string | undefined): ProcessRef | undefined {
  try {
    const value = JSON.parse(text ?? '')
    return typeof value?.pid === 'number' && typeof value?.started === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/** A file's text; undefined if it cannot be read. */
export function readTextIfExists(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Writes a file that everybody may read, whatever the umask. */
export function writePublic(path: string, text: string): void {
  writeFileSync(path, text)
  chmodSync(path, 0o644)
}

/** Writes a file for its owner only, also where it exists with another mode. */
export function writePrivate(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 })
  chmodSync(path, 0o600)
}

/** An error in a word or a line: its code (`EACCES`) where it has one. */
export const reasonOf = (error: unknown) => codeOf(error) ?? String(error)
