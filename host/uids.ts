import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../lib/kit/errors.ts'
import { hostState } from './state.ts'

/** How many uids a host gives before it begins again with the first. */
export const UIDS = 50_000

/** The next uid after `last` that is not taken, in rounds of UIDS from `first`. Throws if all are taken. */
export function freeUid(first: number, last: number, taken: ReadonlySet<number>): number {
  for (let step = 1; step <= UIDS; step++) {
    const uid = first + ((last - first + step) % UIDS)
    if (!taken.has(uid)) return uid
  }
  throw new Error('no free uid: every one has an instance')
}

/** The uids that own files of an instance or of a spare, or that the daemon remembers of one. */
export async function takenUids(dataDir: string): Promise<Set<number>> {
  const { volumes, servers } = hostState(dataDir)
  const remembered = [...(await volumes.all()), ...(await servers.all())].map(({ uid }) => uid)
  const owners = await Promise.all(['spares', 'volumes', 'servers'].map(name => ownersIn(join(dataDir, name))))
  return new Set([...remembered, ...owners.flat()].filter(uid => uid !== undefined))
}

/** Who owns each entry of a folder. */
async function ownersIn(folder: string): Promise<(number | undefined)[]> {
  const names = await readdir(folder).catch(ifMissing<string[]>([]))
  return Promise.all(names.map(async name => (await lstat(join(folder, name)).catch(ifMissing(undefined)))?.uid))
}

/** What was removed meanwhile has no owner; what cannot be read could have one. */
function ifMissing<T>(value: T): (error: unknown) => T {
  return error => {
    if (codeOf(error) === 'ENOENT') return value
    throw error
  }
}
