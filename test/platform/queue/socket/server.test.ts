import { describe, expect, it } from '@jest/globals'
import { AccessDenied } from '../../../../lib/ports/queue.ts'
import { virtualClock } from '../../../kit/virtual-clock.ts'
import { AT_ONCE, connected, FOREVER, LONG, pending, rawClient, useFolder } from './setup.ts'

useFolder()

const expectDenied = (call: Promise<unknown>) => expect(call).rejects.toThrow(AccessDenied)

describe('a grant', () => {
  it('allows its own topics and nothing else', async () => {
    const { queue } = await connected()
    await queue.send('conductor', [{ body: 'x' }])
    expect(await queue.receive('agent', AT_ONCE)).toEqual([])
    const settleCalls = (to: string) => [queue.ack(to, []), queue.release(to, []), queue.extend(to, 'x', 1)]
    const receiveCalls = (to: string) => [queue.receive(to, AT_ONCE), ...settleCalls(to)]
    await Promise.all(['conductor', 'other', 'unheard-of'].flatMap(receiveCalls).map(expectDenied))
    await Promise.all(['agent', 'other'].map(topic => expectDenied(queue.send(topic, [{ body: 'x' }]))))
    await Promise.all([queue.declare('agent'), queue.remove('agent')].map(expectDenied))
  })

  it('gives each sender one turn, whatever groups it names', async () => {
    const { inner, grants, queue, client } = await connected()
    grants.set('flooder', { receive: ['other'], send: ['conductor'], expires: FOREVER })
    const flooder = client(async () => 'flooder')
    const junk = (groups: (string | undefined)[]) =>
      flooder.send(
        'conductor',
        groups.map(group => ({ body: 'junk', ...(group !== undefined && { group }) })),
      )
    await junk(Array.from({ length: 400 }, () => undefined))
    await junk(Array.from({ length: 300 }, () => 'agent'))
    await junk(Array.from({ length: 300 }, (_, number) => `group ${number}`))
    await queue.send('conductor', [{ body: 'report' }, { body: 'report', group: 'other' }])
    const first = await inner.receive('conductor', { max: 4, waitMs: 0 })
    expect(first.map(({ body }) => body).sort()).toEqual(['junk', 'junk', 'report', 'report'])
  })

  it('holds 1,000 messages of a sender at a time and 4 MiB, and no other sender’s are refused', async () => {
    const { inner, grants, queue, client } = await connected()
    grants.set('flooder', { receive: ['other'], send: ['conductor'], expires: FOREVER })
    const flooder = client(async () => 'flooder')
    const sendMany = (count: number, size: number) =>
      flooder.send('conductor', Array(count).fill({ body: 'x'.repeat(size) }))
    await sendMany(1_000, 10)
    await expect(sendMany(1, 10)).rejects.toThrow('wait')
    const received = await inner.receive('conductor', { max: 10, waitMs: 0 })
    await expect(sendMany(1, 10)).rejects.toThrow('wait') // received is not done
    await inner.ack('conductor', received.map(({ receipt }) => receipt)) // biome-ignore format: one line
    await sendMany(8, 256 * 1024)
    await expect(sendMany(10, 256 * 1024)).rejects.toThrow('wait')
    await queue.send('conductor', [{ body: 'report' }])
    const held = inner.depth('conductor')
    expect((held?.ready ?? 0) + (held?.inFlight ?? 0)).toBeLessThanOrEqual(1_010)
  })

  it('delays nothing: what it sends for later is there at once', async () => {
    const { inner, queue } = await connected()
    await queue.send('conductor', [{ body: 'x', delayMs: 1e12 }])
    expect(await inner.receive('conductor', AT_ONCE)).toHaveLength(1)
  })

  it('hides its own messages for a minute at most, and 200 at a time', async () => {
    const clock = virtualClock()
    const { inner, queue } = await connected(clock)
    await inner.send('agent', [{ body: 'first' }, { body: 'second' }])
    const [first, second] = await queue.receive('agent', AT_ONCE)
    await queue.release('agent', [first?.receipt ?? ''], 1e12)
    await queue.extend('agent', second?.receipt ?? '', 1e12)
    await clock.advance(60_000)
    expect(inner.depth('agent')).toEqual({ ready: 2, inFlight: 0 })
    await inner.send('agent', Array(300).fill({ body: 'x' }))
    const receiveAll = async () => {
      for (let count = 0; count < 31; count++) await queue.receive('agent', AT_ONCE)
    }
    await expect(receiveAll()).rejects.toThrow('unacknowledged')
    expect(inner.depth('agent')?.inFlight).toBeLessThanOrEqual(210)
  })

  it('is void when its topic is gone, though its token has not expired', async () => {
    const { inner, queue } = await connected()
    await queue.send('conductor', [{ body: 'x' }])
    await inner.remove('agent')
    await expectDenied(queue.send('conductor', [{ body: 'x' }]))
    expect(inner.depth('conductor')).toEqual({ ready: 1, inFlight: 0 })
  })

  it('needs a valid token within 5 s', async () => {
    const clock = virtualClock()
    const { queue, client } = await connected(clock)
    await queue.ack('agent', [])
    await expectDenied(client(async () => 'forged').receive('agent', LONG))
    const [silent, forger] = [rawClient(), rawClient()]
    silent.send({ id: 1, op: 'receive', topic: 'agent', max: 1, waitMs: 0 })
    expect(await silent.read()).toMatchObject({ id: 1, error: { name: 'NotAdmitted' } })
    forger.send({ id: 2, op: 'auth', token: 'forged' })
    expect(await forger.read()).toMatchObject({ id: 2, error: { name: 'NotAdmitted' } })
    await forger.closed
    await clock.advance(5_000)
    await silent.closed
    expect(await queue.receive('agent', AT_ONCE)).toEqual([])
  })

  it('expires, and the client shows a new token on the same connection', async () => {
    const clock = virtualClock()
    let tokens = 0
    const { inner, grants, queue } = await connected(clock, async () => `token-${++tokens}`)
    const grant = { receive: ['agent'], send: ['conductor'] }
    for (const count of [1, 2, 3]) grants.set(`token-${count}`, { ...grant, expires: clock.now() + count * 1_000 })
    const wait = await pending(queue)
    await clock.advance(1_000)
    await inner.send('agent', [{ body: 'y' }])
    expect(inner.depth('agent')).toEqual({ ready: 1, inFlight: 0 }) // the wait ended with the grant
    await Promise.all([queue.send('conductor', [{ body: 'x' }]), queue.ack('agent', [])])
    expect(tokens).toBe(2)
    expect(await wait.messages).toMatchObject([{ body: 'y' }])
  })

  it('ends with an error if the new token has expired too', async () => {
    let tokens = 0
    const { grants, queue } = await connected(virtualClock(), async () => `old-${++tokens}`)
    for (const old of ['old-1', 'old-2', 'old-3']) grants.set(old, { receive: ['agent'], send: [], expires: 1 })
    await expectDenied(queue.receive('agent', LONG))
    expect(tokens).toBe(2)
  })
})

describe('frames', () => {
  const mega = 'x'.repeat(1024 * 1024)
  const malformed = ['nonsense\n', '[]\n', 'null\n', '{"id":"1","op":"auth","token":"agent"}\n', '{"id":1,"op":"x"}\n']
  const long = [`{"id":1,"op":"auth","token":"${mega}"}\n`, `${mega}y`]

  it.each([...malformed, ...long])(
    'close only their own connection if they are malformed or too long: %.30j',
    async text => {
      const { inner, queue } = await connected()
      const wait = await pending(queue)
      const raw = rawClient()
      raw.socket.write(text)
      await raw.closed
      await inner.send('agent', [{ body: 'x' }])
      expect(await wait.messages).toMatchObject([{ body: 'x' }])
    },
  )

  it('hold the largest messages', async () => {
    const { inner, queue } = await connected()
    const bodies = Array.from({ length: 10 }, (_, number) => String.fromCharCode(number).repeat(256 * 1024))
    const messages = bodies.map(body => ({ body }))
    await queue.send('conductor', messages)
    expect(inner.depth('conductor')).toEqual({ ready: 10, inFlight: 0 })
    await inner.send('agent', messages)
    const received = await queue.receive('agent', LONG)
    expect(received.map(({ body }, index) => body === bodies[index])).toEqual(Array(10).fill(true))
  })

  it('may arrive in pieces of any size', async () => {
    await connected()
    const raw = rawClient()
    const text = '{"id":1,"op":"auth","token":"agent"}\n{"id":2,"op":"ack","topic":"agent","receipts":["ü"]}\n'
    for (const byte of Buffer.from(text)) await new Promise(resolve => raw.socket.write(Buffer.of(byte), resolve))
    expect([await raw.read(), await raw.read()]).toEqual([{ id: 1 }, { id: 2 }])
  })
})
