import { readFile, stat } from 'node:fs/promises'
import { replaceFile } from '../../../kit/os/files.ts'
import { changeKeys, type KeyDocument } from '../key-set.ts'

/**
 * Replaces the keys in a key file by what `change` makes of them, completely or not at all; the file keeps its owner.
 * Throws BadKeys, also if the result is no valid key file.
 */
export async function editKeyFile(path: string, change: (document: KeyDocument) => KeyDocument): Promise<KeyDocument> {
  const { document, changed } = changeKeys(await readFile(path, 'utf8'), change)
  if (changed === undefined) return document
  const { uid, gid } = await stat(path)
  await replaceFile(path, changed, { owner: { uid, gid } })
  return document
}
