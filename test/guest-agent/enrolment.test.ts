import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Enrolment } from '../../guest-agent/enrolment.ts'
import { EnrolRequest } from '../../lib/contracts/enrol.ts'
import { silentLog } from '../kit/random.ts'
import { realClock } from '../kit/virtual-clock.ts'

/** A disk that can be filled: a tmpfs, which only root may mount. */
const asRoot = process.getuid?.() === 0 && process.platform === 'linux' ? it : it.skip

/** An answer as stored by agents of 0.1.0. */
const CREDENTIALS = {
  topic: 'guest-i1-1',
  conductor: 'conductor',
  access: { kind: 'socket', address: '/run/queue.sock', token: 't' },
  expires: 7,
  kid: 'k1',
  keys: { down: 'd', up: 'u' },
  issued: 3,
}

describe("an agent's enrolment", () => {
  let dir: string
  let server: Server
  let requests: unknown[]
  let answers: unknown[]
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'coffer-enrolment-'))
    requests = []
    answers = []
    server = createServer(async (request, response) => {
      requests.push(await json(request))
      response.end(JSON.stringify(answers.shift() ?? CREDENTIALS))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  afterEach(() => {
    server.close()
    rmSync(dir, { recursive: true })
  })

  const path = () => join(dir, 'enrolment.json')
  const open = (folder = dir) => {
    const enrolUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/enrol`
    const userData = { instance: 'i1', generation: 1, secret: 's', enrolUrl }
    const config = { userData, datastore: { manager: 'postgresql', version: '18' }, logLevel: 'silent' }
    return Enrolment.open({ dir: folder, config, clock: realClock, log: silentLog, tlsKey: async () => 'k' })
  }
  const renew = (enrolment: Enrolment) => enrolment.renew(new AbortController().signal)

  it('sends the secret first and a proof later, both as the contract says, and stores the answer', async () => {
    expect(await renew(await open())).toEqual(CREDENTIALS)
    expect(JSON.parse(readFileSync(path(), 'utf8'))).toEqual({
      privateKey: expect.stringContaining('PRIVATE KEY'),
      credentials: CREDENTIALS,
    })
    await renew(await open())
    expect(requests).toEqual([
      expect.objectContaining({ secret: 's', tlsKey: 'k' }),
      { instance: 'i1', generation: 1, proof: expect.any(String) },
    ])
    for (const request of requests) expect(EnrolRequest.parse(request)).toEqual(request)
  })

  it('reads the file of an earlier version after an upgrade', async () => {
    await renew(await open())
    const { privateKey } = JSON.parse(readFileSync(path(), 'utf8'))
    writeFileSync(path(), JSON.stringify({ privateKey, credentials: CREDENTIALS }))
    expect((await open()).current()).toEqual(CREDENTIALS)
  })

  asRoot('goes on with new credentials that a full disk cannot store (as root only)', async () => {
    const disk = join(dir, 'disk')
    mkdirSync(disk)
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]).status).toBe(0)
    try {
      const enrolment = await open(disk)
      await renew(enrolment)
      expect(() => writeFileSync(join(disk, 'filler'), Buffer.alloc(100_000))).toThrow('ENOSPC')
      answers = [{ ...CREDENTIALS, kid: 'k2' }]
      expect(await renew(enrolment)).toMatchObject({ kid: 'k2' })
      expect((await open(disk)).current()).toEqual(CREDENTIALS)
      expect(requests).toHaveLength(2)
    } finally {
      spawnSync('umount', [disk])
    }
  })

  it('refuses an answer of another shape, and tries again', async () => {
    answers = [{ ...CREDENTIALS, access: { kind: 'other' } }]
    expect(await renew(await open())).toEqual(CREDENTIALS)
    expect(requests).toHaveLength(2)
  })
})
