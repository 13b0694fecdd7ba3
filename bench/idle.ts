import { setTimeout as sleep } from 'node:timers/promises'
import { type Coffer, createInstance, type Session, startCoffer, wipe } from '../test/e2e/coffer.ts'
import { ANN, spares } from './create.ts'
import type { Note } from './table.ts'
import { partsOf, usageOf } from './usage.ts'

const GUESTS = 20
/** From the last create on: until agents and spares are as they will stay. */
const SETTLE_MS = 20_000
const IDLE_MS = 30_000

/** What each part costs while nothing is asked of it: without and with 20 real agents and their servers (db.tiny). */
export async function benchIdle(note: Note): Promise<void> {
  // The first start after a change compiles, and keeps its compiler in memory: this is about all others.
  const first = await startCoffer()
  await first.stop()
  await wipe(first.dataDir)
  const coffer = await startCoffer()
  await spares(coffer)
  await noteIdle(coffer, 0, note)
  const [demo, admin] = [await coffer.login(), await coffer.login('openrc-admin')]
  await withoutQuota(admin, demo)
  for (let count = 0; count < GUESTS; count++) {
    await spares(coffer)
    await createInstance(demo, ANN)
  }
  await spares(coffer)
  await noteIdle(coffer, GUESTS, note)
  await coffer.stop()
  await wipe(coffer.dataDir)
}

/** Lets a project have as much as it likes. */
export async function withoutQuota(admin: Session, { project }: Pick<Session, 'project'>): Promise<void> {
  const quotas = { instances: -1, ram: -1, volumes: -1 }
  const { status, text } = await admin.call('PUT', `/mgmt/quotas/${project}`, { quotas })
  if (status !== 200) throw new Error(`quotas answered ${status}: ${text}`)
}

async function noteIdle(coffer: Coffer, guests: number, note: Note): Promise<void> {
  await sleep(SETTLE_MS)
  const parts = partsOf(coffer).map(part => ({ ...part, before: usageOf(part.pid) }))
  await sleep(IDLE_MS)
  for (const name of ['control plane', 'host daemon', 'guest agent'] as const) {
    const used = parts.filter(part => part.name === name).map(({ pid, before }) => ({ ...usageOf(pid), before }))
    if (used.length === 0) continue
    const what = `idle with ${guests} guests, ${name}`
    note(
      `${what}: memory`,
      used.map(({ rss }) => rss),
      'MB',
    )
    // Pages of the program are shared by all agents: each counts its share of them only.
    note(
      `${what}: memory, proportional share`,
      used.map(({ pss }) => pss),
      'MB',
    )
    note(
      `${what}: CPU`,
      used.map(({ cpu, before }) => ((cpu - before.cpu) / IDLE_MS) * 100_000),
      '% of a core',
    )
  }
}
