import type { Subject } from '../../ports/store.ts'

/** The kind whose ids are stored alone, as in every store from before there were other kinds. */
const PLAIN_KIND = 'instance'

/** A subject as the indexes store it: an instance's id, or `kind/id`. */
export function subjectText({ kind, id }: Subject): string {
  // A client may name an instance `backup/1` in a path, and audit records it: that is no backup.
  return kind === PLAIN_KIND && !id.includes('/') ? id : `${kind}/${id}`
}

/** The same for a column of a table. */
export const subjectColumn = (subject: Subject | undefined): string | null => (subject ? subjectText(subject) : null)

/** The inverse of `subjectText`. */
export function parseSubject(text: string): Subject {
  const slash = text.indexOf('/')
  return slash < 0 ? { kind: PLAIN_KIND, id: text } : { kind: text.slice(0, slash), id: text.slice(slash + 1) }
}
