import type { Store } from '../store/store.ts'
import type { Compute } from './compute.ts'
import { observations } from './facts.ts'

const elsewhere = () => Promise.reject(new Error('machines are made and changed by the taskmanager'))

/** What is known of machines, for functions that change none and have no right to. */
export function observed(store: Store): Compute {
  const facts = async (project: string, name: string) => (await observations.get(store, project, name))?.body.facts
  return {
    volume: facts,
    server: facts,
    createVolume: elsewhere,
    deleteVolume: elsewhere,
    createServer: elsewhere,
    deleteServer: elsewhere,
    resizeVolume: elsewhere,
    changeServer: elsewhere,
    rebootServer: elsewhere,
  }
}
