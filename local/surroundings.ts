import { accessSync, chmodSync, constants, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { alive, type Running, runningAs } from '../lib/kit/process.ts'
import { Unfit } from './options.ts'

/** The form of what is kept in a data directory; raised when an older Coffer could not read it. */
const FORM = 1
/** What an instance's uid goes through, but cannot list. */
const FOLDERS = ['volumes', 'servers', 'spares', 'runtime']

/** The Node.js that runs this must be the one it was built for. Throws Unfit. */
export function checkNode(version: string): void {
  if (Number(version.split('.')[0]) < 24)
    throw new Unfit(`Node.js 24 or newer is needed, this is ${version}: run it with 'npm start'`)
}

/** Makes the data directory and its folders, and sees that it can be used. Throws Unfit. */
export function prepareDataDir(dataDir: string, root: boolean): void {
  try {
    makeFolder(dataDir)
    accessSync(dataDir, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw new Unfit(`the data directory ${dataDir} cannot be written: ${codeOf(error)}`)
  }
  if (root) assertReachable(dataDir)
  checkForm(dataDir)
  for (const folder of FOLDERS) {
    mkdirSync(join(dataDir, folder), { recursive: true })
    chmodSync(join(dataDir, folder), 0o711)
  }
  chmodSync(dataDir, 0o711)
}

/** As mkdir with `recursive`, which never ends where a folder refuses with ENOENT, as /proc does. */
function makeFolder(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
  if (path !== dirname(path)) makeFolder(dirname(path))
  mkdirSync(path, { mode: 0o711 })
}

/** As root, instances run as uids of their own: they must get through every folder above. */
function assertReachable(dataDir: string): void {
  for (let path = dirname(dataDir); ; path = dirname(path)) {
    if ((statSync(path).mode & 0o001) === 0) {
      throw new Unfit(
        `the data directory ${dataDir} cannot be reached by the databases' users: ${path} is closed to them; choose another with --data-dir`,
      )
    }
    if (path === dirname(path)) return
  }
}

function checkForm(dataDir: string): void {
  const path = join(dataDir, 'form')
  const form = Number(textOf(path) ?? FORM)
  if (!(form <= FORM))
    throw new Unfit(
      `the data directory ${dataDir} was written by a newer Coffer (form ${form}, this one knows ${FORM})`,
    )
  writeFileSync(path, String(FORM), { mode: 0o600 })
}

/** Holds the data directory for this process; answers how to let go of it. Throws Unfit if another Coffer has it. */
export async function lock(dataDir: string): Promise<() => void> {
  const path = join(dataDir, 'lock')
  const holder = parse(textOf(path))
  if (holder && (await alive(holder)))
    throw new Unfit(`the data directory ${dataDir} is in use by another Coffer (pid ${holder.pid})`)
  const own = await runningAs(process.pid)
  rmSync(path, { force: true })
  try {
    writeFileSync(path, JSON.stringify(own), { mode: 0o600, flag: 'wx' })
  } catch {
    throw new Unfit(`the data directory ${dataDir} is in use by another Coffer`)
  }
  return () => rmSync(path, { force: true })
}

export function parse(text: string | undefined): Running | undefined {
  try {
    const value = JSON.parse(text ?? '')
    return typeof value?.pid === 'number' && typeof value?.started === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

export const codeOf = (error: unknown) =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)
