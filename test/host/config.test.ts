import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from '@jest/globals'
import { HostConfig } from '../../host/config.ts'
import { hostConfig } from './daemon-world.ts'

describe("a host daemon's file", () => {
  const config = hostConfig()
  afterEach(() => rmSync(join(config.dataDir, '..'), { recursive: true, force: true }))

  const login = { url: 'amqp://q', username: 'host-local', password: 'p' }
  const credentials = { accessKeyId: 'a', secretAccessKey: 's', sessionToken: 't' }
  const sqs = { region: 'r', urls: { conductor: 'https://q' }, credentials }
  it.each([
    [
      { path: '/q.sock', token: 't' },
      { kind: 'socket', address: '/q.sock', token: 't' },
    ],
    [login, { kind: 'rabbitmq', ...login }],
    [sqs, { kind: 'sqs', ...sqs }],
  ])('of an earlier version does not name the kind of its queue: %j', (queue, expected) => {
    expect(HostConfig.parse({ ...config, queue }).queue).toEqual(expected)
    expect(HostConfig.parse({ ...config, queue: expected }).queue).toEqual(expected)
  })

  it.each([null, {}, { kind: 'other' }, 'socket'])('is refused with the queue %j', queue => {
    expect(HostConfig.safeParse({ ...config, queue }).success).toBe(false)
  })
})
