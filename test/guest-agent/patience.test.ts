import { describe, expect, it } from '@jest/globals'
import { patiently } from '../../guest-agent/patience.ts'
import { wasLost } from '../../lib/datastores/postgresql/sessions.ts'
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
  void patiently({ driver: { wasLost }, clock, health }, work).then(
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

describe('a command whose database dies under it', () => {
  it('is done again once that serves again', async () => {
    const { ended, tries } = await run(1, reset, 4_000)
    expect(ended).toBe('done')
    expect(tries).toHaveLength(2)
    expect(tries[1]).toBeGreaterThanOrEqual(4_000)
  })

  it('fails in the end, with the reason', async () => {
    expect((await run(99, reset, 0)).ended).toBe('read ECONNRESET')
    expect((await run(99, reset, 1_000_000)).tries).toHaveLength(3)
  })

  it('is not tried again after an answer', async () => {
    expect(await run(1, new Error('permission denied'), 0)).toEqual({ ended: 'permission denied', tries: [0] })
  })
})
