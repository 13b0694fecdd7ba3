import { instanceSubject } from '../model/instance.ts'
import type { Store } from '../ports/store.ts'
import { agentCommands } from './agent.ts'

const BATCH = 50

/** Removes every command of an instance, in as many transactions as it takes. */
export async function deleteCommands(store: Store, instance: string): Promise<void> {
  for (;;) {
    const rows = await agentCommands.ofSubject(store, instanceSubject(instance), { limit: BATCH })
    if (rows.length === 0) return
    await store.transact(rows.map(row => ({ op: 'delete', key: row.key })))
  }
}
