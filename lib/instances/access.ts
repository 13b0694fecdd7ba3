import { z } from 'zod'
import type { Call, Reply } from '../kit/http/route.ts'
import { type Running, saga } from '../kit/saga/saga.ts'
import type { Platform } from '../platform/platform.ts'
import { begin, ending } from './acting.ts'
import { commanded, commandedBack, isCarriedOut } from './asked.ts'
import { Access } from './create-body.ts'
import { assertServer, serverOf } from './instance.ts'
import { current } from './parts.ts'

const AccessRequest = z.object({ from: Access, to: Access })
type AccessRequest = z.infer<typeof AccessRequest>

/** `{"access":{"is_public":…,"allowed_cidrs":[…]}}`: from where the database can be reached, held by its own rules and, where its cloud has some, by those. */
export const requestAccess = (
  call: Call<{ access: z.infer<typeof Access>; name?: string | undefined }, Platform>,
): Promise<Reply> =>
  begin(call, 'update_access', 'UPDATING', instance => {
    assertServer(instance)
    // What is not told stays as it is.
    const from = instance.access ?? {}
    const { name, access } = call.body
    const change = name === undefined ? {} : { name }
    return { change, request: { from, to: { ...from, ...access } } }
  })

const cidrs = ({ allowed_cidrs }: z.infer<typeof Access>) => ({ allowed_cidrs: allowed_cidrs ?? [] })

type Run = Running<AccessRequest, Platform>

/** Lets in whom the access names, where machines are behind rules of their cloud. */
async function admit(
  { deps, project, instance: id }: Run,
  access: z.infer<typeof Access>,
  wish: string,
): Promise<void> {
  const instance = await current({ deps, project, instance: id })
  const { generation } = instance
  await deps.compute.changeAccess?.({ name: serverOf(instance), instance: id, project, generation, wish, access })
}

const isAdmitted = async (run: Run, wish: string) =>
  !run.deps.compute.changeAccess || isCarriedOut(run, 'server', serverOf(await current(run)), wish)

/** Whatever came of it, it was tried: there may be no machine any more. */
async function isBack({ deps, project, instance: id, id: operation }: Run): Promise<boolean> {
  const instance = await current({ deps, project, instance: id })
  if (!deps.compute.changeAccess || instance.task === 'DELETING') return true
  const facts = await deps.compute.server(project, serverOf(instance))
  return !facts || facts.status === 'GONE' || facts.wish === `${operation}/undo`
}

export const updateAccess = saga<AccessRequest, Platform>('update_access', AccessRequest, {
  settled: ending({ done: ({ request }) => ({ access: request.to }) }),
})
  .step('rules', {
    ...commanded('access', (agent, { request }) => agent.update_access(cidrs(request.to))),
    ...commandedBack('back', (agent, { request }) => agent.update_access(cidrs(request.from))),
  })
  .step('network', {
    do: run => admit(run, run.request.to, run.id),
    until: run => isAdmitted(run, run.id),
    undo: run => admit(run, run.request.from, `${run.id}/undo`),
    undone: isBack,
  })
