import type { z } from 'zod'

type Schema = z.ZodType

/** A message without an answer. */
export interface Cast<I extends Schema = Schema> {
  kind: 'cast'
  input: I
}

/** A question without effect: answered at once, or expired. */
export interface Query<I extends Schema = Schema, O extends Schema = Schema> {
  kind: 'query'
  input: I
  output: O
}

/** A numbered wish with effect: kept in the store until it is done. */
export interface Command<I extends Schema = Schema, O extends Schema = Schema> {
  kind: 'command'
  input: I
  output: O
}

export type Methods = Record<string, Cast | Query | Command>

/** One wire: the name of the component that serves it, and its methods. */
export interface Contract<M extends Methods = Methods> {
  name: string
  methods: M
}

export const cast = <I extends Schema>(input: I): Cast<I> => ({ kind: 'cast', input })
export const query = <I extends Schema, O extends Schema>(input: I, output: O): Query<I, O> => ({
  kind: 'query',
  input,
  output,
})
export const command = <I extends Schema, O extends Schema>(input: I, output: O): Command<I, O> => ({
  kind: 'command',
  input,
  output,
})
export const contract = <const M extends Methods>(name: string, methods: M): Contract<M> => ({ name, methods })

/** What a client can call; `Issued` is what the transport answers to a command. */
export type Client<M extends Methods, Issued> = {
  [K in keyof M]: M[K] extends Query<infer I, infer O>
    ? (input: z.input<I>) => Promise<z.output<O>>
    : M[K] extends Command<infer I>
      ? (input: z.input<I>) => Promise<Issued>
      : M[K] extends Cast<infer I>
        ? (input: z.input<I>) => Promise<void>
        : never
}

/** What a server has to handle: every method, no more, no fewer. */
export type Handlers<M extends Methods, Context> = {
  [K in keyof M]: (
    input: z.output<M[K]['input']>,
    context: Context,
  ) => Promise<M[K] extends { output: infer O extends Schema } ? z.input<O> : void>
}

/** How a client's messages travel. The input was parsed; what a query answers is parsed by the client. */
export interface Transport<Issued> {
  cast(method: string, input: unknown): Promise<void>
  query(method: string, input: unknown): Promise<unknown>
  command(method: string, input: unknown): Promise<Issued>
}

/** A client of the contract over the transport. Throws ZodError before anything is sent if the input is not of the contract. */
export function client<M extends Methods, Issued>(wire: Contract<M>, transport: Transport<Issued>): Client<M, Issued> {
  const calls: Record<string, (input: unknown) => Promise<unknown>> = {}
  for (const [name, method] of Object.entries(wire.methods)) {
    calls[name] = async input => {
      const parsed: unknown = method.input.parse(input)
      if (method.kind !== 'query') return transport[method.kind](name, parsed)
      return method.output.parse(await transport.query(name, parsed))
    }
  }
  return calls as Client<M, Issued>
}

/** The message names no method of the contract, or its input does not fit. */
export class BadMessage extends Error {
  override name = 'BadMessage'
}

/** A dispatcher to the handlers: parses the input, calls, parses the output. Throws BadMessage for what is not of the contract. */
export function serve<M extends Methods, Context>(wire: Contract<M>, handlers: Handlers<NoInfer<M>, Context>) {
  return async (name: string, input: unknown, context: Context): Promise<unknown> => {
    const method = Object.hasOwn(wire.methods, name) ? wire.methods[name] : undefined
    if (!method) throw new BadMessage(`${wire.name} has no method ${name}`)
    const parsed = method.input.safeParse(input)
    if (!parsed.success) throw new BadMessage(`${wire.name}.${name}: ${parsed.error.message}`)
    const handler = handlers[name] as (input: unknown, context: Context) => Promise<unknown>
    const result = await handler(parsed.data, context)
    return method.kind === 'cast' ? undefined : method.output.parse(result ?? null)
  }
}

/** The same handler for every method of a contract of casts. */
export function forEvery<M extends Methods, Context>(
  wire: Contract<M>,
  handle: (input: z.output<M[keyof M]['input']>, context: Context) => Promise<void>,
): Handlers<M, Context> {
  const entries = Object.keys(wire.methods).map(name => [name, handle])
  return Object.fromEntries(entries) as Handlers<M, Context>
}
