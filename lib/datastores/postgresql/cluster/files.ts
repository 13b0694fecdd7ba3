import { lstatSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../../../kit/errors.ts'

/** The result of `work`, or undefined if the file that it needs is missing, or was removed meanwhile. */
export async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    // ESRCH is how /proc says that a process ended while it was read.
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined
    throw error
  }
}

/** A file's text, or undefined if there is none. */
export const readText = (path: string): Promise<string | undefined> => unlessMissing(readFile(path, 'utf8'))

/**
 * The bytes that a file, or a directory with everything below it, takes on the disk. Links are not followed. Files are
 * stat'ed synchronously: a cluster has a thousand, is counted every few seconds, and a thread for each costs more.
 */
export async function bytesUnder(path: string): Promise<number> {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (!stats) return 0
  let bytes = stats.blocks * 512
  if (!stats.isDirectory()) return bytes
  for (const entry of (await unlessMissing(readdir(path, { withFileTypes: true }))) ?? []) {
    const below = join(path, entry.name)
    if (entry.isDirectory()) bytes += await bytesUnder(below)
    else bytes += (lstatSync(below, { throwIfNoEntry: false })?.blocks ?? 0) * 512
  }
  return bytes
}
