import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type Coffer, processesOf, until } from './coffer.ts'

/**
 * What deleted instances have left on the disk, in the store and among the processes; empty = clean. `living` are the
 * ids of small instances (flavor 1, 1 GB) that still exist.
 */
export function leftovers(coffer: Coffer, living: string[] = []): string[] {
  const { dataDir } = coffer
  const folders = ['volumes', 'servers', join('state', 'servers'), join('state', 'volumes')]
  const files = folders.flatMap(folder => listFolder(join(dataDir, folder)).map(name => `${folder}/${name}`))
  const running = processesOf(dataDir)
    .map(({ args }) => args)
    .filter(args => args.includes('guest-agent.mjs') || args.includes(join(dataDir, 'volumes')))
  const rest = [...files, ...running, ...instanceRecords(dataDir)]
  return [...rest.filter(text => !living.some(id => text.includes(id))), ...wrongQuota(dataDir, living.length)]
}

/** Resolves once nothing is left; throws with what is left after `ms`. */
export async function waitUntilClean(coffer: Coffer, living: string[] = [], ms = 10_000): Promise<void> {
  await until('clean end', async () => leftovers(coffer, living).length === 0, ms).catch(() => {
    throw new Error(`left over:\n${leftovers(coffer, living).join('\n')}`)
  })
}

const listFolder = (folder: string) => (existsSync(folder) ? readdirSync(folder) : [])

interface StoredRecord {
  id: string
  body: string
  expires: number | null
}

function recordsOf(dataDir: string, kinds: string[]): StoredRecord[] {
  const db = new DatabaseSync(join(dataDir, 'coffer.db'), { readOnly: true })
  try {
    const rows = db.prepare('SELECT id, body, expires FROM records').all()
    return rows
      .map(({ id, body, expires }) => ({ id: String(id), body: String(body), expires: Number(expires) || null }))
      .filter(({ id }) => kinds.includes(id.replace(/#.*/s, '')))
  } finally {
    db.close()
  }
}

/** Records of instances that do not expire. */
const instanceRecords = (dataDir: string) =>
  recordsOf(dataDir, ['instance', 'guest', 'id', 'command', 'machine', 'saga'])
    .filter(({ expires }) => expires === null)
    .map(({ id, body }) => `record ${id} ${body}`)

/** What one small instance takes of each quota. */
const QUOTA: Record<string, number> = { instances: 1, ram: 512, volumes: 1 }

/** Quotas that do not fit the number of instances. */
const wrongQuota = (dataDir: string, instances: number) =>
  recordsOf(dataDir, ['quota'])
    .filter(({ id, body }) => JSON.parse(body).used !== instances * (QUOTA[id.replace('quota#', '')] ?? 0))
    .map(({ id, body }) => `quota ${id} ${body}`)
