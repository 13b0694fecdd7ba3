import { setTimeout as sleep } from 'node:timers/promises'
import { type Coffer, createInstance, type Session, startCoffer, wipe } from '../test/e2e/coffer.ts'
import { ANN, waitForSpares } from './create.ts'
import type { Note } from './table.ts'
import { partsOf, usageOf } from './usage.ts'

const GUESTS = 20
/** After the last create: until agents and spare volumes have come to rest. */
const SETTLE_MS = 20_000
const IDLE_MS = 30_000

/** What each process costs while it is idle: without and with 20 real agents and their servers (db.tiny). */
export async function benchIdle(note: Note): Promise<void> {
  // The first start after a change bundles the agent and keeps the compiler in memory: measure a later one.
  const first = await startCoffer()
  await first.stop()
  await wipe(first.dataDir)
  const coffer = await startCoffer()
  await waitForSpares(coffer)
  await noteIdle(coffer, 0, note)
  const [demo, admin] = [await coffer.login(), await coffer.login('openrc-admin')]
  await withoutQuota(admin, demo)
  for (let count = 0; count < GUESTS; count++) {
    await waitForSpares(coffer)
    await createInstance(demo, ANN)
  }
  await waitForSpares(coffer)
  await noteIdle(coffer, GUESTS, note)
  await coffer.stop()
  await wipe(coffer.dataDir)
}

/** Removes a project's quota limits. */
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
    const usages = parts.filter(part => part.name === name).map(({ pid, before }) => ({ ...usageOf(pid), before }))
    if (usages.length === 0) continue
    const title = `idle with ${guests} guests, ${name}`
    note(
      `${title}: memory`,
      usages.map(({ rss }) => rss),
      'MB',
    )
    // All agents share the program's pages; here each counts only its part of them.
    note(
      `${title}: memory, proportional share`,
      usages.map(({ pss }) => pss),
      'MB',
    )
    note(
      `${title}: CPU`,
      usages.map(({ cpu, before }) => ((cpu - before.cpu) / IDLE_MS) * 100_000),
      '% of a core',
    )
  }
}
