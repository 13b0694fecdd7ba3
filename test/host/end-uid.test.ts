import { afterEach, describe, expect, it } from '@jest/globals'
import { endUid } from '../../host/end-uid.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { endAllOf, FORK_CHAIN, HOSTILE_UIDS, pidsOf, runAs, whyNot } from './hostile.ts'

const asRoot = whyNot === undefined ? describe : describe.skip

describe('endUid', () => {
  it.each([0, 1, 65_534, 65_535, -1, Number.NaN])('refuses the uid %d, which no instance has', async uid => {
    await expect(endUid(uid, realClock)).rejects.toThrow('not the uid of an instance')
  })
})

asRoot('the end of a uid (as root, with perl)', () => {
  afterEach(() => endAllOf(HOSTILE_UIDS))

  it('comes although its programs end everything that comes near', async () => {
    const attack = `for (1..2) { last unless fork } while (1) { kill 'KILL', -1; exit if fork }`
    await Promise.all([runAs(HOSTILE_UIDS, '/', attack), runAs(HOSTILE_UIDS, '/', FORK_CHAIN)])
    await endUid(HOSTILE_UIDS, realClock)
    for (let look = 0; look < 50; look++) expect(pidsOf(HOSTILE_UIDS)).toEqual([])
  }, 60_000)

  it('leaves the programs of other uids alone', async () => {
    const other = await runAs(HOSTILE_UIDS + 1, '/', 'sleep 60')
    await runAs(HOSTILE_UIDS, '/', 'sleep 60')
    await endUid(HOSTILE_UIDS, realClock)
    expect([pidsOf(HOSTILE_UIDS), pidsOf(HOSTILE_UIDS + 1)]).toEqual([[], [String(other.pid)]])
    endAllOf(HOSTILE_UIDS + 1)
  })
})
