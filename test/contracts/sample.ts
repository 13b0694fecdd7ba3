import { z } from 'zod'
import { cast, client, command, contract, type Handlers, query, serve } from '../../lib/kit/rpc/contract.ts'

/** A contract with a method of each kind. */
export const wire = contract('sample', {
  tell: cast(z.object({ text: z.string() })),
  ask: query(z.object({ limit: z.int() }), z.object({ items: z.array(z.string()) })),
  make: command(z.object({ name: z.string() }), z.null()),
})
type Methods = (typeof wire)['methods']

export const complete: Handlers<Methods, undefined> = {
  tell: async () => {},
  ask: async ({ limit }) => ({ items: [String(limit)] }),
  make: async () => null,
}

/** Code that must not compile: `tsc` fails if one of these is not an error. */
export function mustNotCompile(): void {
  // @ts-expect-error a missing handler
  serve(wire, { tell: complete.tell, ask: complete.ask })
  // @ts-expect-error a handler for an unknown method
  serve(wire, { ...complete, other: async () => {} } satisfies Handlers<Methods, undefined>)
  // @ts-expect-error an answer of another shape
  serve(wire, { ...complete, ask: async () => ({ items: [1] }) })
  // @ts-expect-error a handler that needs more than the message has
  serve(wire, { ...complete, make: async (input: { name: string; size: number }) => (input.size ? null : null) })
  const transport = { cast: async () => {}, query: async () => null, command: async () => 1 }
  const calls = client(wire, transport)
  // @ts-expect-error a method that is not in the contract
  void calls.other
  // @ts-expect-error an input of another shape
  void calls.ask({ limit: 'many' })
  // @ts-expect-error an input that lacks a field
  void calls.tell({})
  // @ts-expect-error a command returns what was issued, not its output
  const created: Promise<null> = calls.make({ name: 'a' })
  void created
}
