import { describe, expect, it } from '@jest/globals'
import { retryWhileRestarting } from '../../guest-agent/handlers.ts'
import { isConnectionLost } from '../../lib/datastores/postgresql/sql/sessions.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })

/** A command that fails so often before it works, on a database that serves again after so long. */
async function run(failures: number, error: Error, downMs: number) {
  const clock = virtualClock()
  const up = clock.now() + downMs
  const tries: number[] = []
  const began = clock.now()
  let ended: unknown = 'not yet'
  const work = async () => {
    tries.push(clock.now() - began)
    if (tries.length <= failures) throw error
    return 'done'
  }
  const health = () => ({ status: clock.now() < up ? 'crashed' : 'healthy' })
  void retryWhileRestarting({ driver: { isConnectionLost: isConnectionLost }, clock, health }, work).then(
    result => {
      ended = result
    },
    (failure: Error) => {
      ended = failure.message
    },
  )
  await clock.advance(200_000)
  return { ended, tries }
}

describe('a command whose server dies during it', () => {
  it('is executed again once the server is back', async () => {
    const { ended, tries } = await run(1, reset, 4_000)
    expect(ended).toBe('done')
    expect(tries).toHaveLength(2)
    expect(tries[1]).toBeGreaterThanOrEqual(4_000)
  })

  it('fails with the reason after the last try', async () => {
    expect((await run(99, reset, 0)).ended).toBe('read ECONNRESET')
    expect((await run(99, reset, 1_000_000)).tries).toHaveLength(3)
  })

  it('is not retried after an answer of the server', async () => {
    expect(await run(1, new Error('permission denied'), 0)).toEqual({ ended: 'permission denied', tries: [0] })
  })
})
