import type { StopMark } from '../../guest-agent/stop-mark.ts'

/** The mark of a database that was stopped on purpose, on a disk that outlives agents. */
export function memoryStopMark(): StopMark {
  let isStopped = false
  return {
    isSet: async () => isStopped,
    async set(stopped) {
      isStopped = stopped
    },
  }
}
