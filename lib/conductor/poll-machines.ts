import { messageOf } from '../kit/errors.ts'
import type { Platform } from '../platform/platform.ts'
import { handleMachineState } from './reports.ts'

/** Asks the cloud for the states of machines that no host daemon reports. */
export async function pollMachines(platform: Platform): Promise<void> {
  try {
    for (const report of (await platform.compute.pollStates?.()) ?? []) await handleMachineState(platform, report)
  } catch (error) {
    platform.log.warn({ error: messageOf(error) }, 'machine survey failed')
  }
}
