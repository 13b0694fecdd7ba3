import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { BadMessage, client, serve } from '../../lib/kit/rpc/contract.ts'
import { complete, wire } from './sample.ts'

describe('a contract', () => {
  const casts: unknown[] = []
  const calls = client(wire, {
    cast: async (method, input) => {
      casts.push([method, input])
    },
    query: async (method, input) => dispatch(method, input, undefined),
    command: async () => 7,
  })
  const dispatch = serve(wire, complete)

  it('sends casts, answers queries and issues commands', async () => {
    await calls.tell({ text: 'hello' })
    expect(casts).toEqual([['tell', { text: 'hello' }]])
    expect(await calls.ask({ limit: 3 })).toEqual({ items: ['3'] })
    expect(await calls.make({ name: 'a' })).toBe(7)
  })

  it('validates messages at both ends', async () => {
    // Messages of other versions, or past the compiler, are refused before they have an effect.
    await expect(dispatch('ask', { limit: 'x' }, undefined)).rejects.toThrow(BadMessage)
    await expect(dispatch('nothing', {}, undefined)).rejects.toThrow(BadMessage)
    await expect(dispatch('constructor', {}, undefined)).rejects.toThrow(BadMessage)
    const dishonest = client(wire, {
      cast: async () => {},
      query: async () => ({ items: [1] }),
      command: async () => 0,
    })
    await expect(dishonest.ask({ limit: 1 })).rejects.toThrow(z.ZodError)
  })
})
