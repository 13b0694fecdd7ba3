import type { z } from 'zod'

type Schema = z.ZodType

/** A message without a result. */
export interface Cast<I extends Schema = Schema> {
  kind: 'cast'
  input: I
}

/** A question without side effects. It is answered at once, or it expires. */
export interface Query<I extends Schema = Schema, O extends Schema = Schema> {
  kind: 'query'
  input: I
  output: O
}

/** A numbered request for a change. It stays in the store until it is executed. */
export interface Command<I extends Schema = Schema, O extends Schema = Schema> {
  kind: 'command'
  input: I
  output: O
}

/** Methods by name. */
export type Methods = Record<string, Cast | Query | Command>

/** The interface of one component: its name, and the methods that it serves. */
export interface Contract<M extends Methods = Methods> {
  name: string
  methods: M
}

/** Declares a message without a result. */
export const cast = <I extends Schema>(input: I): Cast<I> => ({ kind: 'cast', input })
/** Declares a question and its answer. */
export const query = <I extends Schema, O extends Schema>(input: I, output: O): Query<I, O> => ({
  kind: 'query',
  input,
  output,
})
/** Declares a change and its result. */
export const command = <I extends Schema, O extends Schema>(input: I, output: O): Command<I, O> => ({
  kind: 'command',
  input,
  output,
})
/**
 * Declares a component's interface. Clients and servers are derived from it, so that both ends agree at compile time.
 *
 * @example
 * const thermostat = contract('thermostat', {
 *   get_temperature: query(z.object({ room: z.string() }), z.number()),
 *   set_temperature: command(z.object({ room: z.string(), celsius: z.number() }), z.null()),
 * })
 */
export const contract = <const M extends Methods>(name: string, methods: M): Contract<M> => ({ name, methods })

/**
 * The methods as a client calls them. `Issued` is what the transport returns for a command, which is executed later.
 */
export type Client<M extends Methods, Issued> = {
  [K in keyof M]: M[K] extends Query<infer I, infer O>
    ? (input: z.input<I>) => Promise<z.output<O>>
    : M[K] extends Command<infer I>
      ? (input: z.input<I>) => Promise<Issued>
      : M[K] extends Cast<infer I>
        ? (input: z.input<I>) => Promise<void>
        : never
}

/** The methods as a server implements them. One that is missing, unknown or mistyped does not compile. */
export type Handlers<M extends Methods, Context> = {
  [K in keyof M]: (
    input: z.output<M[K]['input']>,
    context: Context,
  ) => Promise<M[K] extends { output: infer O extends Schema } ? z.input<O> : void>
}

/** Carries a client's messages. `input` has been parsed already; the client parses the result of a query. */
export interface Transport<Issued> {
  cast(method: string, input: unknown): Promise<void>
  query(method: string, input: unknown): Promise<unknown>
  command(method: string, input: unknown): Promise<Issued>
}

/**
 * A client of the contract over a transport. Its methods throw ZodError, before anything is sent, for an invalid input.
 *
 * @example
 * const { get_temperature } = client(thermostat, transport)
 * const celsius = await get_temperature({ room: 'kitchen' })
 */
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

/** A message with an unknown method or an invalid input. */
export class BadMessage extends Error {
  override name = 'BadMessage'
}

/**
 * Dispatches messages to their handlers: parses the input, calls the handler, parses its result. Throws BadMessage for
 * an unknown method or an invalid input.
 *
 * @example
 * const dispatch = serve(thermostat, {
 *   get_temperature: async ({ room }) => readSensor(room),
 *   set_temperature: async ({ room, celsius }) => heat(room, celsius),
 * })
 * await dispatch('get_temperature', { room: 'kitchen' }, undefined)
 */
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

/** Handlers that are all the same function, for a contract of casts. */
export function sameHandlerForAll<M extends Methods, Context>(
  wire: Contract<M>,
  handle: (input: z.output<M[keyof M]['input']>, context: Context) => Promise<void>,
): Handlers<M, Context> {
  const entries = Object.keys(wire.methods).map(name => [name, handle])
  return Object.fromEntries(entries) as Handlers<M, Context>
}
