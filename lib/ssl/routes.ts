import { X509Certificate } from 'node:crypto'
import { z } from 'zod'
import { ended, guestClient } from '../guests/guest.ts'
import { assertAvailable, findInstance } from '../instances/instance.ts'
import { badRequest, notImplemented } from '../kit/errors.ts'
import { bodied, type Call, ok, type Reply, type Route, route } from '../kit/http/route.ts'
import { timestamp } from '../kit/time.ts'
import type { Platform } from '../platform/platform.ts'
import { SslAnswer, SslChanged, SslQuery } from './schemas.ts'
import { type SslMode, SslOutcome } from './ssl.ts'

const Flag = z.union([z.boolean(), z.literal([0, 1])]).transform(Boolean)
const Body = z
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
type Asked = z.infer<typeof Body>

/** The path's instance and its agent. Throws 404, or 422 while nothing can be done with it. */
async function actionable(call: Call<unknown, Platform>) {
  const { body: instance } = await findInstance(call.deps, call, call.params['id'] ?? '')
  assertAvailable(instance)
  return guestClient(call.deps, { project: instance.project, instance: instance.id, requestId: call.requestId })
}

type Agent = Awaited<ReturnType<typeof actionable>>

async function show(call: Call<unknown, Platform>): Promise<Reply> {
  const agent = await actionable(call)
  const { status, mode, ...served } = await agent.ssl_show({})
  const asked = call.query['include_certificate']
  const whole = asked !== undefined && !/^(false|0|no)$/i.test(asked)
  const certificate =
    status === 'on' && served.certificate !== undefined && described(served.certificate, served.ca, whole)
  return { status: 200, body: { ssl: { status, mode, ...(certificate && { certificate }) } } }
}

function described(certificate: string, ca: string | undefined, whole: boolean) {
  const read = new X509Certificate(certificate)
  return {
    cn: /^CN=(.*)$/m.exec(read.subject)?.[1] ?? '',
    expire_at: timestamp(read.validToDate.getTime()),
    san: namesOf(read),
    ...(whole && { payload: `${certificate}${ca ?? ''}` }),
  }
}

/** `DNS:a, IP Address:b` as a list of names. */
const namesOf = ({ subjectAltName = '' }: X509Certificate) =>
  subjectAltName.split(', ').map(name => name.slice(name.indexOf(':') + 1))

async function change(call: Call<Asked, Platform>): Promise<Reply> {
  const { enable = false, disable = false, rollback = false, mode } = call.body
  if ([enable, disable, rollback].filter(Boolean).length !== 1) {
    throw badRequest('The body must have exactly one of enable, disable and rollback.')
  }
  if (mode !== undefined && !enable) throw badRequest('A mode is for enable only.')
  assertOwnCertificates(call.body)
  const agent = await actionable(call)
  const chosen = mode === 'enforced' ? mode : 'basic'
  const row = rollback
    ? await agent.ssl_rollback({})
    : await agent.ssl_action(enable ? { enable, mode: chosen } : { enable })
  // Nothing comes of a dry run.
  const outcome = SslOutcome.optional().parse(await ended(call.deps, row))
  return { status: 200, body: { ssl: outcome ?? (await foreseen(agent, rollback ? undefined : enable && chosen)) } }
}

/** What a change to that mode (false: off) would answer; what a rollback goes back to, only the agent knows. */
async function foreseen(agent: Agent, mode: SslMode | false | undefined): Promise<SslOutcome> {
  if (mode) return { status: 'on', mode, restart_required: false }
  if (mode === false) return { status: 'off', mode: null, restart_required: false }
  const now = await agent.ssl_show({})
  return { status: now.status, mode: now.mode, restart_required: false }
}

/** Certificates are this Coffer's own: there is no key manager (Barbican) to fetch others, or those of clients, from. */
function assertOwnCertificates({ mode, container_ref, password_ref }: Asked): void {
  if (mode === 'mtls') throw notImplemented('Client certificates (mtls) need a key manager, which is not there.')
  // The openstack command cannot leave it out, but can give an empty one.
  if (container_ref || password_ref) {
    throw notImplemented(
      'There is no key manager to take a certificate from; leave container_ref and password_ref out or empty.',
    )
  }
}

const EXAMPLE = { ssl: { enable: true, mode: 'enforced' } }
const PEM = { status: 200, body: z.string(), type: 'application/x-pem-file' }

export const routes: Route<Platform>[] = [
  route(
    {
      method: 'GET',
      path: '/instances/{id}/ssl',
      summary: "Show an instance's TLS",
      query: SslQuery,
      answers: ok(SslAnswer),
    },
    show,
  ),
  bodied(
    {
      method: 'POST',
      path: '/instances/{id}/ssl',
      summary: "Change an instance's TLS",
      body: Body,
      answers: ok(SslChanged),
      example: EXAMPLE,
    },
    change,
  ),
  route(
    { method: 'GET', path: '/ca.pem', audience: 'anyone', summary: 'The CA to trust', answers: PEM },
    async call => ({
      status: 200,
      text: await call.deps.authority.bundle(),
      headers: { 'Content-Type': 'application/x-pem-file' },
    }),
  ),
]
