import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A new directory that every uid can enter. */
export function tempDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'coffer-test-'))
  chmodSync(dir, 0o755)
  return dir
}
