import type { Compute } from '../../../ports/compute.ts'
import type { Store } from '../../../ports/store.ts'
import { machineStates } from '../../machine-state.ts'

const refuse = () => Promise.reject(new Error('machines are created and changed by the taskmanager'))

/** The recorded states of machines, for functions that have no right to change any. */
export function readOnlyCompute(store: Store): Compute {
  const recordedState = async (project: string, name: string) =>
    (await machineStates.get(store, project, name))?.body.state
  return {
    volume: recordedState,
    server: recordedState,
    createVolume: refuse,
    deleteVolume: refuse,
    createServer: refuse,
    deleteServer: refuse,
    resizeVolume: refuse,
    changeServer: refuse,
    rebootServer: refuse,
  }
}
