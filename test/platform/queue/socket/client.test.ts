import { link, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { NoSuchTopic } from '../../../../lib/ports/queue.ts'
import { queueCases } from '../../../cases/queue.ts'
import { realClock, virtualClock } from '../../../kit/virtual-clock.ts'
import {
  AT_ONCE,
  connected,
  delayedReceives,
  FOREVER,
  LONG,
  pending,
  place,
  rawClient,
  setUp,
  useFolder,
} from './setup.ts'

useFolder()

const sockets = async () => {
  const clock = virtualClock()
  const { inner, grants, queue } = await connected(clock)
  const names = ['a', 'b', 'c']
  for (const name of names) await inner.declare(name)
  grants.set('agent', { receive: ['agent', ...names], send: [...names], expires: FOREVER })
  return {
    queue,
    topic: async () => names.shift()!,
    declare: inner.declare,
    remove: inner.remove,
    async advance(ms: number) {
      await queue.ack('agent', []) // its reply shows that all earlier requests have reached the server
      await clock.advance(ms)
    },
    close: queue.close,
  }
}
// All messages of a sender have one group: turns are taken between senders.
queueCases('the socket queue', sockets, { fair: false, groups: 'agent', delays: false })

describe('a lost connection', () => {
  it('ends no receive and loses no message', async () => {
    const { inner, queue, server, serve } = await connected(realClock)
    const wait = await pending(queue)
    await server.close()
    const sending = queue.send('conductor', [{ body: 'sent' }])
    await serve()
    await inner.send('agent', [{ body: 'x' }])
    expect(await wait.messages).toMatchObject([{ body: 'x', attempt: 1 }])
    await sending
    expect(await inner.receive('conductor', AT_ONCE)).toMatchObject([{ body: 'sent' }])
  })

  it('fails a send after 10 s, and ends a receive when its wait is over', async () => {
    const clock = virtualClock()
    const queue = (await setUp(clock)).client()
    const sending = expect(queue.send('conductor', [{ body: 'x' }])).rejects.toThrow('in time')
    const wait = queue.receive('agent', { max: 1, waitMs: 5_000 })
    await clock.advance(10_000)
    await sending
    expect(await wait).toEqual([])
  })

  it('leaves no receive open at the server', async () => {
    const { inner, queue, client } = await connected()
    const wait = await pending(queue)
    await queue.close()
    expect(await wait.messages).toEqual([])
    const next = client() // the server sees its connection after the end of the first
    await next.ack('agent', [])
    await inner.send('agent', [{ body: 'x' }])
    expect(inner.depth('agent')).toEqual({ ready: 1, inFlight: 0 })
  })

  it('releases messages at once that could not be written', async () => {
    const { inner, serve } = await setUp()
    const delayed = delayedReceives(inner, signal => new Promise(resolve => signal?.addEventListener('abort', resolve)))
    await serve(delayed.queue)
    await inner.send('agent', [{ body: 'x' }])
    const raw = rawClient()
    raw.send({ id: 1, op: 'auth', token: 'agent' })
    raw.send({ id: 2, op: 'receive', topic: 'agent', max: 1, waitMs: 20_000 })
    await raw.read()
    raw.socket.end()
    await delayed.released
    expect(inner.depth('agent')).toEqual({ ready: 1, inFlight: 0 })
  })
})

describe('the client and the server', () => {
  it('release messages that arrive for an aborted receive', async () => {
    const { inner, serve, client } = await setUp()
    const arrival = Promise.withResolvers<void>()
    const delayed = delayedReceives(inner, () => arrival.promise)
    await serve(delayed.queue)
    await inner.send('agent', [{ body: 'x' }])
    const abort = new AbortController()
    const wait = await pending(client(), abort.signal)
    abort.abort()
    expect(await wait.messages).toEqual([])
    arrival.resolve()
    await delayed.released
    expect(inner.depth('agent')).toEqual({ ready: 1, inFlight: 0 })
  })

  it('pass on errors', async () => {
    const { inner, grants, serve, client } = await setUp()
    await serve({ ...inner, extend: () => Promise.reject(new Error('a secret')) })
    grants.get('agent')?.receive.push('gone')
    const queue = client()
    await expect(queue.receive('gone', LONG)).rejects.toThrow(new NoSuchTopic('gone'))
    await expect(queue.receive('agent', { max: 11, waitMs: 0 })).rejects.toThrow(RangeError)
    await expect(queue.extend('agent', 'x', 1)).rejects.toThrow('the queue failed')
  })

  it('end calls when the client is closed while it connects, and refuse later ones', async () => {
    const { queue } = await connected(virtualClock(), () => new Promise(() => {}))
    const wait = queue.receive('agent', LONG)
    const sending = expect(queue.send('conductor', [{ body: 'x' }])).rejects.toThrow('closed')
    await queue.close()
    expect(await wait).toEqual([])
    await sending
    await expect(queue.receive('agent', LONG)).rejects.toThrow('closed')
  })

  it('use a socket file that all users may open, that replaces a stale one and goes with the server', async () => {
    const { server, serve, queue } = await connected()
    expect(((await stat(place.path)).mode & 0o777).toString(8)).toBe('666')
    await link(place.path, `${place.path}.stale`)
    await server.close()
    await expect(stat(place.path)).rejects.toThrow('ENOENT')
    await rename(`${place.path}.stale`, place.path)
    await serve()
    expect(await queue.receive('agent', AT_ONCE)).toEqual([])
  })

  it('replace neither the socket file of a running server nor another kind of file', async () => {
    const { serve, queue } = await connected()
    await expect(serve()).rejects.toThrow('EADDRINUSE')
    expect(await queue.receive('agent', AT_ONCE)).toEqual([])
    place.path = join(place.directory, 'a-file')
    await writeFile(place.path, 'precious')
    await expect(serve()).rejects.toThrow('EADDRINUSE')
  })
})
