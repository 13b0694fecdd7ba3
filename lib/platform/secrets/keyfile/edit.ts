import { readFile, stat } from 'node:fs/promises'
import { replaceFile } from '../../../kit/os/files.ts'
import { type KeyDocument, parseKeys, writeKeyDocument } from '../key-set.ts'

/**
 * Replaces the keys in a key file by what `change` makes of them, completely or not at all; the file keeps its owner.
 * Throws BadKeys, also if the result is no valid key file.
 */
export async function editKeyFile(path: string, change: (document: KeyDocument) => KeyDocument): Promise<KeyDocument> {
  const text = await readFile(path, 'utf8')
  const { document } = parseKeys(text)
  const next = change(document)
  if (next === document) return next
  parseKeys(writeKeyDocument(next))
  const { uid, gid } = await stat(path)
  await replaceFile(path, writeKeyDocument(next), { owner: { uid, gid } })
  return next
}
