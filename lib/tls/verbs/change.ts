import { z } from 'zod'
import { awaitedCommand } from '../../agents/awaited-command.ts'
import { openAvailableInstance } from '../../agents/open-instance.ts'
import { type SslMode, SslOutcome } from '../../contracts/guest/tls.ts'
import { badRequest, notImplemented } from '../../kit/errors.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import type { Platform } from '../../platform/platform.ts'

const Flag = z.union([z.boolean(), z.literal([0, 1])]).transform(Boolean)
export const ChangeBody = z
  .object({
    ssl: z.object({
      enable: Flag.optional(),
      disable: Flag.optional(),
      rollback: Flag.optional(),
      mode: z.enum(['basic', 'enforced', 'mtls']).optional(),
      container_ref: z.string().optional(),
      password_ref: z.string().optional(),
    }),
  })
  .transform(({ ssl }) => ssl)
type ChangeBody = z.infer<typeof ChangeBody>
type Agent = Awaited<ReturnType<typeof openAvailableInstance>>['agent']

/** `POST …/ssl`: turns TLS on in a mode, turns it off, or reverts the last change. */
export async function changeTls(call: Call<ChangeBody, Platform>): Promise<Mutation> {
  const { enable = false, disable = false, rollback = false, mode: requested } = call.body
  if ([enable, disable, rollback].filter(Boolean).length !== 1) {
    throw badRequest('The body must have exactly one of enable, disable and rollback.')
  }
  if (requested !== undefined && !enable) throw badRequest('A mode is for enable only.')
  rejectOtherCertificates(call.body)
  const { agent, manifest } = await openAvailableInstance(call, 'tls', rollback ? 'ssl_rollback' : 'ssl_action')
  const mode = requested === 'enforced' ? requested : 'basic'
  if (enable && !manifest.can.tls.modes.includes(mode))
    throw notImplemented(`This datastore has no SSL mode '${mode}'.`)
  const command = rollback
    ? await agent.ssl_rollback({})
    : await agent.ssl_action(enable ? { enable, mode } : { enable })
  const expected = await expectedOutcome(agent, rollback ? undefined : enable && mode)
  return awaitedCommand(call.deps, command, answer(expected), result => answer(SslOutcome.parse(result)))
}

const answer = (ssl: SslOutcome) => ({ status: 200, body: { ssl } })

/** What a change to that mode would answer; false: off, undefined: a rollback, whose result only the agent knows. */
async function expectedOutcome(agent: Agent, mode: SslMode | false | undefined): Promise<SslOutcome> {
  if (mode) return { status: 'on', mode, restart_required: false }
  if (mode === false) return { status: 'off', mode: null, restart_required: false }
  const current = await agent.ssl_show({})
  return { status: current.status, mode: current.mode, restart_required: false }
}

/** Throws 501: without a key manager (Barbican), Coffer cannot fetch certificates, it only issues its own. */
function rejectOtherCertificates({ mode, container_ref, password_ref }: ChangeBody): void {
  if (mode === 'mtls') throw notImplemented('Client certificates (mtls) need a key manager, which is not available.')
  // The openstack command always sends container_ref, but can send it empty.
  if (container_ref || password_ref) {
    throw notImplemented(
      'There is no key manager to take a certificate from; leave container_ref and password_ref out or empty.',
    )
  }
}
