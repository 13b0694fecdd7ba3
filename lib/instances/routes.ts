import { z } from 'zod'
import { badRequest } from '../kit/errors.ts'
import { validated } from '../kit/http/parse.ts'
import { bodied, type Call, type Reply, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { showConfiguration } from './configuration.ts'
import { requestCreate } from './create.ts'
import { CreateBody } from './create-body.ts'
import { requestDelete } from './delete.ts'
import { resetStatus } from './reset-status.ts'
import { listInstances, showInstance } from './show.ts'
import { detail, summary } from './view.ts'

/** One key of an action's body: its schema and what it does. */
interface Action {
  body: z.ZodType
  handle(call: Call<never, Platform>): Promise<Reply>
}

const action = <S extends z.ZodType>(
  body: S,
  handle: (call: Call<z.output<S>, Platform>) => Promise<Reply>,
): Action => ({
  body,
  handle,
})

/** What `POST /instances/{id}/action` can do, by the body's one key. */
export const actions: Record<string, Action> = {
  reset_status: action(z.looseObject({}), resetStatus),
}

async function act(call: Call<Record<string, unknown>, Platform>): Promise<Reply> {
  const [name, ...more] = Object.keys(call.body)
  const found = name !== undefined && Object.hasOwn(actions, name) ? actions[name] : undefined
  if (name === undefined || more.length > 0) throw badRequest('The body must have exactly one action.')
  if (!found) throw badRequest(`There is no such action: ${name.slice(0, 80)}.`)
  const body = validated(z.object({ [name]: found.body }), call.body)[name]
  return found.handle({ ...call, body: body as never })
}

export const routes: Route<Platform>[] = [
  route({ method: 'GET', path: '/instances', summary: 'List instances' }, listInstances(summary)),
  route({ method: 'GET', path: '/instances/detail', summary: 'List instances with details' }, listInstances(detail)),
  bodied({ method: 'POST', path: '/instances', summary: 'Create an instance', body: CreateBody }, requestCreate),
  route({ method: 'GET', path: '/instances/{id}', summary: 'Show an instance' }, showInstance),
  route({ method: 'DELETE', path: '/instances/{id}', summary: 'Delete an instance' }, requestDelete),
  bodied(
    {
      method: 'POST',
      path: '/instances/{id}/action',
      summary: 'Act on an instance',
      body: z.record(z.string(), z.unknown()),
    },
    act,
  ),
  route(
    { method: 'GET', path: '/instances/{id}/configuration', summary: "Show the engine's default settings" },
    showConfiguration,
  ),
]
