import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf } from '../lib/kit/errors.ts'

/** The files of a running cloud, without its programs. A folder that disappears meanwhile, like a used spare, has none. */
export function cloudFiles(dataDir: string): string[] {
  return filesBelow(dataDir, join(dataDir, 'runtime'))
}

/** All files below a folder that changes meanwhile, without those below `without`. */
export function filesBelow(folder: string, without?: string): string[] {
  if (folder === without) return []
  return listEntries(folder).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesBelow(path, without)
    return entry.isFile() ? [path] : []
  })
}

function listEntries(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** The content of a file; empty if it has disappeared meanwhile. */
export function readIfPresent(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}
