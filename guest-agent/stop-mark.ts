import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { exists, replaceFile } from '../lib/kit/os/files.ts'

/** Whether the database was stopped on purpose; on the disk when `set` resolves, so that it outlives the agent. */
export interface StopMark {
  isSet(): Promise<boolean>
  set(stopped: boolean): Promise<void>
}

/** The mark is a file in the agent's folder; a reboot of the server removes it. */
export function stopMarkIn(dir: string): StopMark {
  const path = join(dir, 'stopped')
  return {
    isSet: () => exists(path),
    set: stopped => (stopped ? replaceFile(path, '') : rm(path, { force: true })),
  }
}
