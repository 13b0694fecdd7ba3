import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Emulator, emulator } from '../../localstack/emulator.ts'

/** The emulator of AWS in a folder of its own, gone when it is stopped. */
export type Ministack = Emulator

/** `auth`: it enforces IAM's policies. */
export async function ministack({ auth = false } = {}): Promise<Ministack> {
  const folder = await mkdtemp(join(tmpdir(), 'coffer-ministack-'))
  const started = await emulator(folder, { auth })
  return {
    ...started,
    async stop() {
      await started.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
