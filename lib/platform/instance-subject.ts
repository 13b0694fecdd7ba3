import type { Subject } from '../ports/store.ts'

/** The subject of an instance's records. */
export const instanceSubject = (id: string): Subject => ({ kind: 'instance', id })
