import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { connect } from 'amqplib'
import { NotAdmitted, type Queue } from '../../lib/platform/queue/queue.ts'
import { type RabbitmqOptions, rabbitmqQueue } from '../../lib/platform/queue/rabbitmq.ts'
import { type RabbitmqUsers, rabbitmqUsers } from '../../lib/platform/queue/rabbitmq-access.ts'
import { systemClock as clock, systemRandom as random } from '../../lib/wiring/system.ts'
import { log } from '../datastores/postgresql/cluster.ts'
import { newRabbit, type RabbitServer } from './rabbitmq-server.ts'

const NOW = { max: 1, waitMs: 0 }

let server: RabbitServer
let users: RabbitmqUsers
let plane: Queue

const open = (more: Partial<RabbitmqOptions>): Queue =>
  rabbitmqQueue({ access: async () => ({ url: server.url }), shared: ['conductor'], clock, random, log, ...more })
const machine = (username: string, password: string) =>
  open({ machine: true, access: async () => ({ url: server.address, username, password }) })

beforeAll(async () => {
  server = await newRabbit()
  users = rabbitmqUsers({ management: server.management, vhost: '/', random })
  plane = open({})
  for (const topic of ['conductor', 'taskmanager', 'guest-a-1', 'guest-b-1']) await plane.declare(topic)
  for (const name of ['guest-a-1', 'guest-b-1'])
    await users.grant(name, `pw-${name}`, { receive: [name], send: ['conductor'] })
}, 120_000)
afterAll(async () => {
  await plane.close()
  await server.remove()
}, 60_000)

describe('what a guest may do on a real RabbitMQ', () => {
  it('is to receive from its own queue and to send to the conductor', async () => {
    const guest = machine('guest-a-1', 'pw-guest-a-1')
    await plane.send('guest-a-1', [{ body: 'down' }])
    const [down] = await guest.receive('guest-a-1', { max: 1, waitMs: 20_000 })
    expect(down).toMatchObject({ body: 'down' })
    await guest.ack('guest-a-1', [down!.receipt])
    await guest.send('conductor', [{ body: 'up' }])
    expect(await plane.receive('conductor', { max: 1, waitMs: 20_000 })).toMatchObject([{ body: 'up' }])
    await guest.close()
  }, 60_000)

  it('is nothing else', async () => {
    const guest = machine('guest-a-1', 'pw-guest-a-1')
    for (const topic of ['guest-b-1', 'conductor', 'taskmanager', 'guest-b-1.dlq', 'guest-a-10', 'xguest-a-1'])
      await expect(guest.receive(topic, NOW)).rejects.toThrow(NotAdmitted)
    await expect(guest.receive('guest-b-1', { max: 1, waitMs: 20_000 })).rejects.toThrow(NotAdmitted)
    for (const topic of ['taskmanager', 'guest-b-1'])
      await expect(guest.send(topic, [{ body: 'x' }])).rejects.toThrow(NotAdmitted)
    await expect(guest.declare('mine')).rejects.toThrow(NotAdmitted)
    await expect(guest.remove('guest-b-1')).rejects.toThrow(NotAdmitted)
    await guest.close()
  }, 60_000)

  it('does not become more without our code: by the default exchange, bindings or a purge', async () => {
    const connection = await connect(server.address.replace('//', '//guest-a-1:pw-guest-a-1@'))
    const tried = async (
      work: (channel: Awaited<ReturnType<typeof connection.createConfirmChannel>>) => Promise<unknown>,
    ) => {
      const channel = await connection.createConfirmChannel()
      const failed = new Promise<unknown>(resolve => channel.on('error', resolve))
      await work(channel).catch(() => {})
      return failed
    }
    const refused = { code: 403 }
    expect(await tried(async channel => channel.publish('', 'taskmanager', Buffer.from('x')))).toMatchObject(refused)
    expect(await tried(channel => channel.bindQueue('guest-a-1', 'to.conductor', ''))).toMatchObject(refused)
    expect(await tried(channel => channel.purgeQueue('guest-b-1'))).toMatchObject(refused)
    expect(await tried(channel => channel.assertQueue('', { exclusive: true }))).toMatchObject(refused)
    await connection.close()
    expect(await plane.receive('taskmanager', NOW)).toEqual([])
  }, 60_000)

  it('ends with a new password for who comes anew, and with the user for all', async () => {
    const guest = machine('guest-b-1', 'pw-guest-b-1')
    expect(await guest.receive('guest-b-1', NOW)).toEqual([])
    await users.grant('guest-b-1', 'other', { receive: ['guest-b-1'], send: ['conductor'] })
    const late = machine('guest-b-1', 'pw-guest-b-1')
    await expect(late.receive('guest-b-1', NOW)).rejects.toThrow(NotAdmitted)
    const waiting = guest.receive('guest-b-1', { max: 1, waitMs: 60_000 })
    await users.revoke('guest-b-1')
    await users.revoke('guest-b-1')
    await expect(waiting).rejects.toThrow(NotAdmitted)
    await Promise.all([guest.close(), late.close()])
  }, 90_000)
})
