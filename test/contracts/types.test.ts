import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { BadMessage, client, serve } from '../../lib/kit/contract.ts'
import { complete, wire } from './sample.ts'

describe('a contract', () => {
  const sent: unknown[] = []
  const calls = client(wire, {
    cast: async (method, input) => {
      sent.push([method, input])
    },
    query: async (method, input) => dispatch(method, input, undefined),
    command: async () => 7,
  })
  const dispatch = serve(wire, complete)

  it('sends casts, asks queries, issues commands', async () => {
    await calls.tell({ text: 'hello' })
    expect(sent).toEqual([['tell', { text: 'hello' }]])
    expect(await calls.ask({ limit: 3 })).toEqual({ items: ['3'] })
    expect(await calls.make({ name: 'a' })).toBe(7)
  })

  it('parses at both ends', async () => {
    // Another peer's message, or a cast past the compiler: refused before it has an effect.
    await expect(dispatch('ask', { limit: 'x' }, undefined)).rejects.toThrow(BadMessage)
    await expect(dispatch('nothing', {}, undefined)).rejects.toThrow(BadMessage)
    await expect(dispatch('constructor', {}, undefined)).rejects.toThrow(BadMessage)
    const lying = client(wire, { cast: async () => {}, query: async () => ({ items: [1] }), command: async () => 0 })
    await expect(lying.ask({ limit: 1 })).rejects.toThrow(z.ZodError)
  })
})
