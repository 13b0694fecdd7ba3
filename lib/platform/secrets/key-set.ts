import { z } from 'zod'
import type { MasterKey } from '../../ports/secrets.ts'

const KEY_BYTES = 32

/** The JSON form of master keys. `revoked` has the ids of removed keys that others may have. */
const KeyDocument = z.object({
  current: z.string(),
  keys: z.array(z.object({ id: z.string().min(1).max(64), key: z.base64url() })).min(1),
  revoked: z.array(z.string().min(1).max(64)).optional(),
})
export type KeyDocument = z.infer<typeof KeyDocument>

/** Master keys in memory. */
export interface KeySet {
  current: MasterKey
  byId: Map<string, MasterKey>
  revoked: string[]
}

/** What is wrong with a text of master keys. The message never quotes the text. */
export class BadKeys extends Error {
  override name = 'BadKeys'
}

/** The document in a text, and its keys. Throws BadKeys. */
export function parseKeys(text: string): { document: KeyDocument; set: KeySet } {
  const parsed = KeyDocument.safeParse(json(text))
  if (!parsed.success) throw new BadKeys('is malformed')
  const document = parsed.data
  const byId = new Map<string, MasterKey>()
  for (const { id, key } of document.keys) {
    const bytes = new Uint8Array(Buffer.from(key, 'base64url'))
    if (bytes.length !== KEY_BYTES) throw new BadKeys(`has a key ${id} that is not of ${KEY_BYTES} bytes`)
    if (byId.has(id)) throw new BadKeys(`has key ${id} twice`)
    byId.set(id, { id, bytes })
  }
  const current = byId.get(document.current)
  if (!current) throw new BadKeys('has a current key that is not among its keys')
  return { document, set: { current, byId, revoked: document.revoked ?? [] } }
}

/** Throws BadKeys if an id has other bytes than before: what was encrypted with the key of that id would be lost. */
export function assertSameKeys(before: KeySet, after: KeySet): void {
  for (const [id, { bytes }] of before.byId) {
    const next = after.byId.get(id)
    if (next && Buffer.compare(next.bytes, bytes) !== 0) throw new BadKeys(`has another key under the id ${id}`)
  }
}

/** What `change` makes of a text of master keys, and the new text: missing if it is the same. Throws BadKeys. */
export function changeKeys(
  text: string,
  change: (document: KeyDocument) => KeyDocument,
): { document: KeyDocument; changed?: string } {
  const { document } = parseKeys(text)
  const next = change(document)
  if (next === document) return { document }
  const changed = writeKeyDocument(next)
  parseKeys(changed)
  return { document: next, changed }
}

export const writeKeyDocument = (document: KeyDocument): string => `${JSON.stringify(document, null, 2)}\n`

/** The document with one more key, which is not current yet. */
export function withKey(document: KeyDocument, id: string, bytes: Uint8Array): KeyDocument {
  return { ...document, keys: [...document.keys, { id, key: Buffer.from(bytes).toString('base64url') }] }
}

/** The document with another current key. Throws BadKeys if it has no such key. */
export function withCurrent(document: KeyDocument, id: string): KeyDocument {
  if (!document.keys.some(key => key.id === id)) throw new BadKeys(`has no key ${id}`)
  return { ...document, current: id }
}

/** The document without a key; `revoke` also says that others may have it. Throws BadKeys for the current key. */
export function withoutKey(document: KeyDocument, id: string, revoke: boolean): KeyDocument {
  if (document.current === id) throw new BadKeys(`has ${id} as its current key`)
  if (!document.keys.some(key => key.id === id)) throw new BadKeys(`has no key ${id}`)
  const keys = document.keys.filter(key => key.id !== id)
  return { ...document, keys, ...(revoke && { revoked: [...(document.revoked ?? []), id] }) }
}

/** Each caller gets its own bytes, so that none can change the cached ones. */
export const copyKey = ({ id, bytes }: MasterKey): MasterKey => ({ id, bytes: bytes.slice() })

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new BadKeys('is not JSON')
  }
}
