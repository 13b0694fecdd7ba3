import { z } from 'zod'
import { ended } from '../guests/guest.ts'
import { notFound } from '../kit/errors.ts'
import { bodied, type Call, NO_CONTENT, ok, type Reply, type Route, route } from '../kit/http/route.ts'
import type { Platform } from '../platform/platform.ts'
import { NewPasswords } from '../users/names.ts'
import { serving } from '../users/serving.ts'
import { noteRoot, rootHistories } from './root.ts'
import { RootEnabled, RootUser } from './schemas.ts'

/** Nothing, or the password to be set. */
const Body = z.object({ password: NewPasswords.element.shape.password.nullish() })

/** As long as Trove's: 36 characters. */
const PASSWORD_BYTES = 27

async function show(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent } = await serving(call)
  return { status: 200, body: { rootEnabled: await agent.is_root_enabled({}) } }
}

async function enable(call: Call<z.infer<typeof Body> | undefined, Platform>): Promise<Reply> {
  const { agent, instance, manifest } = await serving(call)
  const { deps } = call
  const password = call.body?.password ?? Buffer.from(deps.random.bytes(PASSWORD_BYTES)).toString('base64url')
  await noteRoot(deps, instance.project, instance.id, call.user)
  await ended(deps, await agent.enable_root_with_password({ root_password: password }))
  return { status: 200, body: { user: { name: manifest.rootUser, password } } }
}

async function disable(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent, instance } = await serving(call)
  const history = await rootHistories.get(call.deps.store, instance.project, instance.id)
  if (!history) throw notFound(`Root has never been enabled on instance ${instance.id}.`)
  await ended(call.deps, await agent.disable_root({}))
  return { status: 204 }
}

const PATH = '/instances/{id}/root'

export const routes: Route<Platform>[] = [
  route(
    { method: 'GET', path: PATH, suffix: true, summary: 'Whether root is enabled', answers: ok(RootEnabled) },
    show,
  ),
  bodied(
    {
      method: 'POST',
      path: PATH,
      suffix: true,
      summary: 'Enable root',
      body: Body,
      optionalBody: true,
      answers: ok(RootUser),
    },
    enable,
  ),
  route({ method: 'DELETE', path: PATH, suffix: true, summary: 'Disable root', answers: NO_CONTENT }, disable),
]
