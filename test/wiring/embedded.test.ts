import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { HostAccess } from '../../lib/contracts/host-access.ts'
import { noMetrics } from '../../lib/kit/metrics.ts'
import { type EmbeddedCloud, embeddedCloud } from '../../lib/wiring/embedded.ts'
import { silentLog } from '../kit/random.ts'

describe("a host's access to an embedded cloud", () => {
  let dataDir: string
  let cloud: EmbeddedCloud
  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'coffer-embedded-'))
    const url = 'http://127.0.0.1/enrol'
    const options = { enrolUrl: () => url, publicUrl: undefined, rate: 0, metrics: noMetrics }
    cloud = await embeddedCloud({ dataDir, log: silentLog, ...options })
  })
  afterAll(async () => {
    await cloud.platform.queue.close()
    await cloud.platform.store.close()
    rmSync(dataDir, { recursive: true })
  })

  const tokenOf = ({ queue }: HostAccess) => (queue.kind === 'socket' ? queue.token : '')

  it("is as the contract says, for this machine's host unless another is named", async () => {
    const access = await cloud.hostAccess()
    expect(HostAccess.strict().parse(access)).toEqual(access)
    expect(access).toMatchObject({ hostId: 'local', topic: 'host-local', conductor: 'conductor' })
  })

  it('differs for each host in its topic, its keys and its grant', async () => {
    const [local, other] = [await cloud.hostAccess(), await cloud.hostAccess('h2')]
    expect([other.hostId, other.topic]).toEqual(['h2', 'host-h2'])
    expect(await cloud.admit(tokenOf(other))).toMatchObject({ receive: ['host-h2'], send: ['conductor'] })
    expect(new Set([local, other].flatMap(({ keys }) => [keys.down, keys.up])).size).toBe(4)
    expect(await cloud.hostAccess('h2')).toMatchObject({ keys: other.keys })
  })

  it('comes with a topic that exists', async () => {
    const { topic } = await cloud.hostAccess('h3')
    await cloud.platform.queue.send(topic, [{ body: 'm' }])
    expect(await cloud.platform.queue.receive(topic, { max: 1, waitMs: 0 })).toEqual([
      expect.objectContaining({ body: 'm' }),
    ])
  })
})
