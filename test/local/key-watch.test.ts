import { describe, expect, it } from '@jest/globals'
import { derivedKeys } from '../../lib/kit/crypto/keys.ts'
import { masterKeyState, watchMasterKeys } from '../../local/key-watch.ts'
import { silentLog } from '../kit/random.ts'
import { masterKey, secretsOf } from '../kit/secrets.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

describe('the watch of the master keys', () => {
  it('acts once on each change, and again if that failed', async () => {
    const masters = [masterKey('k1', 1)]
    const keys = derivedKeys(secretsOf(masters))
    const clock = virtualClock()
    const end = new AbortController()
    let calls = 0
    let failures = 1
    const watching = watchMasterKeys(
      { keys, clock, log: silentLog },
      await masterKeyState(keys),
      end.signal,
      async () => {
        calls++
        if (failures-- > 0) throw new Error('the bus is down')
      },
    )
    await clock.advance(3_000)
    expect(calls).toBe(0)
    masters.push(masterKey('k2', 2))
    await clock.advance(3_000)
    expect(calls).toBe(2)
    masters.shift()
    await clock.advance(3_000)
    expect(calls).toBe(3)
    end.abort()
    await watching
  })
})
