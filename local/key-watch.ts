import type { Keys } from '../lib/kit/crypto/keys.ts'
import { messageOf } from '../lib/kit/errors.ts'
import type { Platform } from '../lib/platform/platform.ts'

const CHECK_MS = 1_000

/** Differs whenever a master key has become current, was added, removed or revoked. */
export async function masterKeyState(keys: Keys): Promise<string> {
  return JSON.stringify([await keys.currentId(), await keys.ids(), await keys.revoked()])
}

/**
 * Calls `onChange` whenever the master keys differ from the state that was handled last, at first `handled`, until
 * `signal` is aborted. A call that fails is repeated.
 */
export async function watchMasterKeys(
  { keys, clock, log }: Pick<Platform, 'keys' | 'clock' | 'log'>,
  handled: string,
  signal: AbortSignal,
  onChange: () => Promise<void>,
): Promise<void> {
  let last = handled
  while (!signal.aborted) {
    await clock.sleep(CHECK_MS, signal)
    try {
      const state = await masterKeyState(keys)
      if (state === last || signal.aborted) continue
      await onChange()
      last = state
      log.info({ key: await keys.currentId() }, 'the master keys have changed')
    } catch (error) {
      log.error({ error: messageOf(error) }, 'the change of the master keys is repeated')
    }
  }
}
