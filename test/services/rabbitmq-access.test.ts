import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { connect } from 'amqplib'
import { type RabbitmqUsers, rabbitmqUsers } from '../../lib/platform/queue/rabbitmq/access.ts'
import { type RabbitmqOptions, rabbitmqQueue } from '../../lib/platform/queue/rabbitmq/queue.ts'
import { AccessDenied, type Queue } from '../../lib/ports/queue.ts'
import { systemClock as clock, systemRandom as random } from '../../lib/wiring/system.ts'
import { log } from '../datastores/postgresql/cluster.ts'
import { type RabbitServer, startRabbit } from './rabbitmq-server.ts'

const NO_WAIT = { max: 1, waitMs: 0 }

let server: RabbitServer
let users: RabbitmqUsers
let controlPlane: Queue

const open = (options: Partial<RabbitmqOptions>): Queue =>
  rabbitmqQueue({ access: async () => ({ url: server.url }), shared: ['conductor'], clock, random, log, ...options })
const machine = (username: string, password: string) =>
  open({ machine: true, access: async () => ({ url: server.address, username, password }) })

beforeAll(async () => {
  server = await startRabbit()
  users = rabbitmqUsers({ management: server.management, vhost: '/', random })
  controlPlane = open({})
  for (const topic of ['conductor', 'taskmanager', 'guest-a-1', 'guest-b-1']) await controlPlane.declare(topic)
  for (const name of ['guest-a-1', 'guest-b-1'])
    await users.grant(name, `pw-${name}`, { receive: [name], send: ['conductor'] })
}, 120_000)
afterAll(async () => {
  await controlPlane.close()
  await server.remove()
}, 60_000)

describe("a guest's access to a real RabbitMQ", () => {
  it('allows receiving from its own queue and sending to the conductor', async () => {
    const guest = machine('guest-a-1', 'pw-guest-a-1')
    await controlPlane.send('guest-a-1', [{ body: 'down' }])
    const [down] = await guest.receive('guest-a-1', { max: 1, waitMs: 20_000 })
    expect(down).toMatchObject({ body: 'down' })
    await guest.ack('guest-a-1', [down!.receipt])
    await guest.send('conductor', [{ body: 'up' }])
    expect(await controlPlane.receive('conductor', { max: 1, waitMs: 20_000 })).toMatchObject([{ body: 'up' }])
    await guest.close()
  }, 60_000)

  it('allows nothing else', async () => {
    const guest = machine('guest-a-1', 'pw-guest-a-1')
    for (const topic of ['guest-b-1', 'conductor', 'taskmanager', 'guest-b-1.dlq', 'guest-a-10', 'xguest-a-1'])
      await expect(guest.receive(topic, NO_WAIT)).rejects.toThrow(AccessDenied)
    await expect(guest.receive('guest-b-1', { max: 1, waitMs: 20_000 })).rejects.toThrow(AccessDenied)
    for (const topic of ['taskmanager', 'guest-b-1'])
      await expect(guest.send(topic, [{ body: 'x' }])).rejects.toThrow(AccessDenied)
    await expect(guest.declare('mine')).rejects.toThrow(AccessDenied)
    await expect(guest.remove('guest-b-1')).rejects.toThrow(AccessDenied)
    await guest.close()
  }, 60_000)

  it('allows no more to another client: no default exchange, no bindings, no purge', async () => {
    const connection = await connect(server.address.replace('//', '//guest-a-1:pw-guest-a-1@'))
    const errorOf = async (
      work: (channel: Awaited<ReturnType<typeof connection.createConfirmChannel>>) => Promise<unknown>,
    ) => {
      const channel = await connection.createConfirmChannel()
      const failed = new Promise<unknown>(resolve => channel.on('error', resolve))
      await work(channel).catch(() => {})
      return failed
    }
    const refused = { code: 403 }
    expect(await errorOf(async channel => channel.publish('', 'taskmanager', Buffer.from('x')))).toMatchObject(refused)
    expect(await errorOf(channel => channel.bindQueue('guest-a-1', 'to.conductor', ''))).toMatchObject(refused)
    expect(await errorOf(channel => channel.purgeQueue('guest-b-1'))).toMatchObject(refused)
    expect(await errorOf(channel => channel.assertQueue('', { exclusive: true }))).toMatchObject(refused)
    await connection.close()
    expect(await controlPlane.receive('taskmanager', NO_WAIT)).toEqual([])
  }, 60_000)

  it('ends for new connections with a new password, and for all when the user is deleted', async () => {
    const guest = machine('guest-b-1', 'pw-guest-b-1')
    expect(await guest.receive('guest-b-1', NO_WAIT)).toEqual([])
    await users.grant('guest-b-1', 'other', { receive: ['guest-b-1'], send: ['conductor'] })
    const newcomer = machine('guest-b-1', 'pw-guest-b-1')
    await expect(newcomer.receive('guest-b-1', NO_WAIT)).rejects.toThrow(AccessDenied)
    const waiting = guest.receive('guest-b-1', { max: 1, waitMs: 60_000 })
    await users.revoke('guest-b-1')
    await users.revoke('guest-b-1')
    await expect(waiting).rejects.toThrow(AccessDenied)
    await Promise.all([guest.close(), newcomer.close()])
  }, 90_000)
})
