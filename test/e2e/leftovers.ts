import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type Coffer, processesOf, until } from './coffer.ts'

/** What is on the disk, in the store and among the processes that an instance should have taken with it; empty = clean. */
export function leftovers(coffer: Coffer): string[] {
  const { dataDir } = coffer
  const listed = ['volumes', 'servers', join('state', 'servers'), join('state', 'volumes')].flatMap(folder =>
    namesIn(join(dataDir, folder)).map(name => `${folder}/${name}`),
  )
  const running = processesOf(dataDir)
    .map(({ args }) => args)
    .filter(args => args.includes('guest-agent.mjs') || args.includes(join(dataDir, 'volumes')))
  return [...listed, ...running, ...records(dataDir)]
}

/** Resolves once nothing is left over; else throws with what is. */
export async function clean(coffer: Coffer, ms = 10_000): Promise<void> {
  await until('clean end', async () => leftovers(coffer).length === 0, ms).catch(() => {
    throw new Error(`left over:\n${leftovers(coffer).join('\n')}`)
  })
}

const namesIn = (folder: string) => (existsSync(folder) ? readdirSync(folder) : [])

/** Records of instances that do not end by themselves, and quota that was not returned. */
function records(dataDir: string): string[] {
  const db = new DatabaseSync(join(dataDir, 'coffer.db'), { readOnly: true })
  try {
    const all = db.prepare('SELECT id, body, expires FROM records').all()
    return all
      .filter(({ id }) => KEPT.has(String(id).replace(/#.*/s, '')))
      .filter(({ id, body, expires }) => (isQuota(id) ? JSON.parse(String(body)).used !== 0 : expires === null))
      .map(({ id, body }) => `record ${id} ${body}`)
  } finally {
    db.close()
  }
}

const KEPT = new Set(['instance', 'guest', 'id', 'command', 'machine', 'saga', 'quota'])
const isQuota = (id: unknown) => String(id).startsWith('quota#')
