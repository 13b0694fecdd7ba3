import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Emulator, emulator } from '../../localstack/emulator.ts'

/** The emulator of AWS in its own folder, which is removed when the emulator is stopped. */
export type Ministack = Emulator

/** Starts the emulator; with `auth` it enforces IAM's policies. */
export async function startMinistack({ auth = false } = {}): Promise<Ministack> {
  const folder = await mkdtemp(join(tmpdir(), 'coffer-ministack-'))
  const running = await emulator(folder, { auth })
  return {
    ...running,
    async stop() {
      await running.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
