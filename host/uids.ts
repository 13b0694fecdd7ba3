import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../lib/kit/errors.ts'
import { hostState } from './state.ts'

/** How many uids a host gives before it begins again with the first. */
export const UIDS = 50_000

/** The next uid after `last` that is not used, in rounds of UIDS from `first`. Throws if all are used. */
export function freeUid(first: number, last: number, used: ReadonlySet<number>): number {
  for (let step = 1; step <= UIDS; step++) {
    const uid = first + ((last - first + step) % UIDS)
    if (!used.has(uid)) return uid
  }
  throw new Error('no free uid: every one has an instance')
}

/** The uids that own files of an instance or of a spare, or that the daemon remembers of one. */
export async function usedUids(dataDir: string): Promise<Set<number>> {
  const { volumes, servers } = hostState(dataDir)
  const recorded = [...(await volumes.all()), ...(await servers.all())].map(({ uid }) => uid)
  const owners = await Promise.all(['spares', 'volumes', 'servers'].map(name => ownersIn(join(dataDir, name))))
  return new Set([...recorded, ...owners.flat()].filter(uid => uid !== undefined))
}

/** Who owns each entry of a folder. */
async function ownersIn(folder: string): Promise<(number | undefined)[]> {
  const names = await readdir(folder).catch(ifMissing<string[]>([]))
  return Promise.all(names.map(async name => (await lstat(join(folder, name)).catch(ifMissing(undefined)))?.uid))
}

/** A file that was removed meanwhile has no owner; any other error is rethrown, for the file may have one. */
function ifMissing<T>(value: T): (error: unknown) => T {
  return error => {
    if (codeOf(error) === 'ENOENT') return value
    throw error
  }
}
