import { describe, expect, it } from '@jest/globals'
import { intentsIn } from '../../../../lib/platform/compute/ec2/intents.ts'
import { sqliteStore } from '../../../../lib/platform/store/sqlite/store.ts'
import { virtualClock } from '../../../kit/virtual-clock.ts'

const part = { name: 'server-i1-1', instance: 'i1', project: 'p1' }

describe('intents', () => {
  it('are recorded once, with the time of the first request', async () => {
    const clock = virtualClock(1_000)
    const intents = intentsIn(sqliteStore(':memory:', { clock }), () => clock.now())
    expect(await intents.recordIntent(part)).toEqual({ instance: 'i1', requestedAt: 1_000 })
    await clock.advance(5_000)
    expect(await intents.recordIntent(part)).toEqual({ instance: 'i1', requestedAt: 1_000 })
  })

  it('are not recorded for a part whose removal was requested before its creation', async () => {
    const clock = virtualClock(1_000)
    const intents = intentsIn(sqliteStore(':memory:', { clock }), () => clock.now())
    await intents.write(part, latest => ({ ...latest, deleted: true }))
    expect(await intents.recordIntent(part)).toEqual({ instance: 'i1', deleted: true })
  })

  it('of an earlier version are read in the current form', async () => {
    const clock = virtualClock(1_000)
    const store = sqliteStore(':memory:', { clock })
    const body = { instance: 'i1', asked: 7, id: 'i-1', wish: 'w0', doing: { wish: 'w1', phase: 'stopping' } }
    await store.transact([{ op: 'put', key: { project: 'p1', id: 'ec2#server-i1-1' }, body }])
    expect(await intentsIn(store, () => clock.now()).read(part)).toEqual({
      instance: 'i1',
      requestedAt: 7,
      id: 'i-1',
      changeId: 'w0',
      inProgress: { changeId: 'w1', phase: 'stopping' },
    })
  })
})
