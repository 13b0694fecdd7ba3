import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf } from '../lib/kit/errors.ts'

/** The files of a cloud that runs, but for its programs. A folder that goes meanwhile, as a spare that is taken, has none. */
export function filesOf(dataDir: string): string[] {
  return filesBelow(dataDir, join(dataDir, 'runtime'))
}

/** All files below a folder that others write to meanwhile, without those below another. */
export function filesBelow(folder: string, without?: string): string[] {
  if (folder === without) return []
  return entriesOf(folder).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesBelow(path, without)
    return entry.isFile() ? [path] : []
  })
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true })
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** What is in a file; nothing if it has gone meanwhile. */
export function contentOf(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch {
    return Buffer.alloc(0)
  }
}
