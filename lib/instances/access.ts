import { z } from 'zod'
import { unprocessable } from '../kit/errors.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { saga } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { begin, ending } from './acting.ts'
import { commanded, commandedBack } from './asked.ts'
import { Access } from './create-body.ts'
import { assertIdle } from './instance.ts'

const AccessRequest = z.object({ from: Access, to: Access })
type AccessRequest = z.infer<typeof AccessRequest>

/** `{"access":{"is_public":…,"allowed_cidrs":[…]}}`: from where the database can be reached, held by its own rules. */
export const requestAccess = (
  call: Call<{ access: z.infer<typeof Access>; name?: string | undefined }, Platform>,
): Promise<Reply> =>
  begin(call, 'update_access', 'UPDATING', instance => {
    assertIdle(instance)
    if (!instance.server) throw unprocessable(`Instance ${instance.id} is not ready.`)
    // What is not told stays as it is.
    const from = instance.access ?? {}
    const { name, access } = call.body
    const change = name === undefined ? {} : { name }
    return { change, request: { from, to: { ...from, ...access } } }
  })

const cidrs = ({ allowed_cidrs }: z.infer<typeof Access>) => ({ allowed_cidrs: allowed_cidrs ?? [] })

export const updateAccess = saga<AccessRequest, Platform>('update_access', AccessRequest, {
  settled: ending({ done: ({ request }) => ({ access: request.to }) }),
}).step('rules', {
  ...commanded('access', (agent, { request }) => agent.update_access(cidrs(request.to))),
  ...commandedBack('back', (agent, { request }) => agent.update_access(cidrs(request.from))),
})
