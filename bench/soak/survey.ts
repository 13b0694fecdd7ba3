import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer } from '../../test/e2e/coffer.ts'
import type { Client, Reply } from './api.ts'
import type { Operation, View } from './checks.ts'
import type { Cast } from './driver.ts'
import type { Journal } from './journal.ts'

const WATCH_MS = 10_000
const PAUSE_MS = 1_000
const READ_MS = 120_000

/** Reads a path until it is answered: the control plane may just be away. Throws after two minutes. */
export async function read(client: Client, path: string): Promise<Reply> {
  const end = Date.now() + READ_MS
  for (;;) {
    const reply = await client.call('survey', 'GET', path)
    if (reply && reply.status < 500) return reply
    if (Date.now() > end) throw new Error(`GET ${path} is not answered`)
    await sleep(PAUSE_MS)
  }
}

/** All instances of the members, with their operations. */
export async function survey({ members }: Cast): Promise<View[]> {
  const views = await Promise.all(
    Object.entries(members).map(async ([owner, client]) => {
      const { instances } = (await read(client, '/instances/detail?limit=20')).body
      return Promise.all(instances.map((instance: Answer['body']) => view(owner, client, instance)))
    }),
  )
  return views.flat()
}

async function view(owner: string, client: Client, instance: Answer['body']): Promise<View> {
  const { status, body } = await read(client, `/instances/${instance.id}/operations`)
  const operations: Operation[] = status === 200 ? body.operations : []
  return { owner, instance, operations }
}

/** Notes each operation that lasts longer than `boundMs`, once, until `signal` is aborted. */
export async function watchOperations(
  cast: Cast,
  boundMs: number,
  journal: Journal,
  signal: AbortSignal,
): Promise<void> {
  const noted = new Set<string>()
  while (!signal.aborted) {
    await sleep(WATCH_MS, undefined, { signal }).catch(() => undefined)
    const views = await survey(cast).catch(() => [])
    for (const { instance, operations } of views) {
      for (const { id, name, status, step, started, finished, error } of operations) {
        const isLong = finished === null && Date.now() - Date.parse(`${started}Z`) > boundMs
        if (!(isLong || status === 'PARKED') || noted.has(id)) continue
        noted.add(id)
        const words = `${name} of ${instance.id} since ${started} is ${status} at ${step} (${error ?? 'no error'})`
        journal.remark(`slow: ${words}`)
      }
    }
  }
}
