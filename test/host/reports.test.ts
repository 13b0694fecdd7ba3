import { describe, expect, it } from '@jest/globals'
import { HOST_HEARTBEAT_MS, HOST_LEASE_MS, hostReport, Reports } from '../../host/reports.ts'
import { readEnvelope, sealer } from '../../lib/kit/crypto/seal.ts'
import { seededRandom, silentLog } from '../kit/random.ts'
import { risingNumbers } from '../kit/rising-numbers.ts'
import { virtualClock } from '../kit/virtual-clock.ts'

const CONFIG = {
  ...{ hostId: 'b', conductor: 'conductor', network: '127.7', ramMb: 4_096 },
  runtime: { node: '', agent: '', engines: { postgresql: { '17': '/17', '18': '/18' } } },
}
const REPORT = {
  ...{ ram_mb: 4_096, network: '127.7', version: '0.1.0', lease_ms: HOST_LEASE_MS },
  engines: { postgresql: ['17', '18'] },
}

function setUp(config: Omit<typeof CONFIG, 'ramMb'> & { ramMb?: number }) {
  const clock = virtualClock()
  const seals = sealer({ kid: async () => 'k1', key: async () => new Uint8Array(32) })
  const bodies: string[] = []
  const queue = { send: async (_topic: string, messages: { body: string }[]) => void bodies.push(messages[0]!.body) }
  const reports = new Reports({
    config,
    queue,
    sealer: seals,
    sequence: risingNumbers(),
    clock,
    random: seededRandom(1),
    log: silentLog,
  })
  const payloads = () => Promise.all(bodies.map(async body => Object(await seals.open(readEnvelope(body)))))
  return { clock, reports, bodies, payloads }
}

describe('a host', () => {
  it('says what it has at its start and every 5 s, until it ends', async () => {
    const { clock, reports, bodies, payloads } = setUp(CONFIG)
    const stopping = new AbortController()
    const announcing = reports.announce(stopping.signal)
    for (const count of [1, 2, 3]) {
      await clock.advance(count === 1 ? 0 : HOST_HEARTBEAT_MS)
      expect(bodies.length).toBe(count)
    }
    stopping.abort()
    await announcing
    await clock.advance(60_000)
    expect(bodies.length).toBe(3)
    expect((await payloads())[2]).toMatchObject({ method: 'update_host', input: REPORT })
    expect(readEnvelope(bodies[0]!).subject).toBe('host:b')
  })

  it('says nothing while its file is of a version that did not know its memory', async () => {
    const { ramMb: _, ...config } = CONFIG
    const { reports, bodies } = setUp(config)
    await reports.announce(new AbortController().signal)
    expect([bodies, hostReport(config)]).toEqual([[], undefined])
  })
})
