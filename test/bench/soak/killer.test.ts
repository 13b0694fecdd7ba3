import { describe, expect, it } from '@jest/globals'
import { chooseVictim } from '../../../bench/soak/killer.ts'
import { KINDS, type Kind, type Victim } from '../../../bench/soak/processes.ts'
import { seededRandom } from '../../../bench/soak/random.ts'

const victim = (kind: Kind, instance?: string): Victim => ({
  kind,
  process: { pid: 7, started: '1' },
  ...(instance !== undefined && { instance }),
})
const VICTIMS = [
  victim('control'),
  victim('host'),
  ...(['agent', 'postmaster', 'backend'] as const).map(kind => victim(kind, 'x')),
  ...Array.from({ length: 50 }, () => victim('backend', 'y')),
]
const kills = (count: number, at: number) =>
  Array.from({ length: count }, () => ({ at, kind: 'postmaster' as const, instance: 'x' }))

describe('the victim', () => {
  it('is of each kind equally often, however many there are of it', () => {
    const random = seededRandom(1)
    const drawn = Array.from({ length: 1_000 }, () => chooseVictim(VICTIMS, [], random, 0)?.kind)
    for (const kind of KINDS) expect(drawn.filter(other => other === kind).length).toBeGreaterThan(140)
  })

  it('is no process that Coffer would give up, until it has forgotten the last kills', () => {
    const choose = (now: number) =>
      chooseVictim([victim('postmaster', 'x')], kills(3, 1_000), seededRandom(1), now)?.kind
    expect(choose(60_000)).toBeUndefined()
    expect(choose(200_000)).toBe('postmaster')
    expect(chooseVictim([victim('postmaster', 'y')], kills(3, 1_000), seededRandom(1), 2_000)?.kind).toBe('postmaster')
  })
})
