import type { Subject } from '../ports/store.ts'

/** The kind of an instance as a subject. */
export const INSTANCE = 'instance'

/** The subject of an instance's records. */
export const instanceSubject = (id: string): Subject => ({ kind: INSTANCE, id })
