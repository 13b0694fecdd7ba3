import { chmod, lstat, mkdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Random } from '../kit/clock.ts'
import { codeOf } from '../kit/errors.ts'
import { replaceFile } from '../kit/os/files.ts'

const NAME = 'queue.sock'
/** The system allows 107. */
const MAX_BYTES = 100
/** Agents of other users pass through it; nobody else lists it or makes anything there. */
const PASSABLE = 0o711

/**
 * Where the queue's socket is: in the data directory, or where that path is too long for a socket, in a folder of its
 * own in `base`, whose name the data directory records. Others can make files in `base`, so the folder is used only
 * while it is this user's alone.
 */
export async function socketPath(dataDir: string, random: Random, base = tmpdir()): Promise<string> {
  const inside = join(dataDir, NAME)
  if (Buffer.byteLength(inside) <= MAX_BYTES) return inside
  const record = join(dataDir, 'queue.folder')
  const recorded = await readFile(record, 'utf8').catch(ignoring('ENOENT'))
  // Agents have the recorded path in their credentials, so it is kept where possible.
  if (recorded !== undefined && (await makePrivate(recorded))) return join(recorded, NAME)
  const folder = join(base, `coffer-${Buffer.from(random.bytes(16)).toString('hex')}`)
  if (!(await makePrivate(folder))) throw new Error(`the folder ${folder} is taken`)
  await replaceFile(record, folder)
  return join(folder, NAME)
}

/** Makes the folder where it is missing; returns whether it is a folder of this user that nobody else can write to. */
async function makePrivate(path: string): Promise<boolean> {
  const isNew = await mkdir(path, { mode: PASSABLE }).then(() => true, ignoring('EEXIST', 'ENOENT', 'ENOTDIR'))
  // The umask may have closed it.
  if (isNew) await chmod(path, PASSABLE)
  const stat = await lstat(path).catch(ignoring('ENOENT', 'ENOTDIR'))
  return stat?.isDirectory() === true && stat.uid === process.getuid?.() && (stat.mode & 0o022) === 0
}

const ignoring =
  (...codes: string[]) =>
  (error: unknown): undefined => {
    if (!codes.includes(codeOf(error) ?? '')) throw error
  }
