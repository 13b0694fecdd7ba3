import { z } from 'zod'
import { badRequest, truncate } from '../errors.ts'
import { parseAs } from './parse.ts'
import type { Call, Mutation } from './route.ts'

/** One action: the schema of its value in the body, and its handler, which gets that value as the call's body. */
export interface Action<D> {
  body: z.ZodType
  handle(call: Call<never, D>): Promise<Mutation>
}

/** The actions of a route, by their key in the body. */
export type Actions<D> = Record<string, Action<D>>

/** Declares an action: the schema of its value, and its handler. */
export const action = <D, S extends z.ZodType>(
  body: S,
  handle: (call: Call<z.output<S>, D>) => Promise<Mutation>,
): Action<D> => ({ body, handle })

/** An action with two forms: the body's value decides which one it is. */
export function choose<D>(first: Action<D>, second: Action<D>): Action<D> {
  return {
    body: z.union([first.body, second.body]),
    handle: call => (first.body.safeParse(call.body).success ? first : second).handle(call),
  }
}

/**
 * The body of a route of actions. Which of them it is, is checked by `dispatchAction`, with words that name the action.
 */
export const ActionBody = z.record(z.string(), z.unknown().nullable())

/** The same, documented in full: exactly one of the actions. */
export const actionSchema = (actions: Actions<never>) =>
  z.union(Object.entries(actions).map(([name, { body }]) => z.strictObject({ [name]: body })))

/**
 * A handler that performs the one action of the body. Throws 400 unless there is exactly one, and it is known.
 *
 * @example
 * dispatchAction({ restart: action(z.strictObject({}), requestRestart) }) // takes {"restart": {}}
 */
export const dispatchAction =
  <D>(actions: Actions<D>) =>
  async (call: Call<Record<string, unknown>, D>): Promise<Mutation> => {
    const [name, ...others] = Object.keys(call.body)
    if (name === undefined || others.length > 0) throw badRequest('The body must have exactly one action.')
    const match = Object.hasOwn(actions, name) ? actions[name] : undefined
    if (!match) throw badRequest(`There is no such action: ${truncate(name)}.`)
    const body = parseAs(z.object({ [name]: match.body }), call.body)[name]
    return match.handle({ ...call, body: body as never })
  }
