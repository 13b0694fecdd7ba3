import type { Sequence } from '../../lib/kit/os/sequence.ts'

/** A sequence in memory. */
export function risingNumbers(): Sequence {
  let last = 0
  return { next: async () => ++last }
}
