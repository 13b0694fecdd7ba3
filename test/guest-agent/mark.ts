import type { Stopped } from '../../guest-agent/machine.ts'

/** The mark of a database that was stopped on purpose, on a disk that outlives agents. */
export function mark(): Stopped {
  let stopped = false
  return {
    is: async () => stopped,
    async set(now) {
      stopped = now
    },
  }
}
