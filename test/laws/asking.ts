import type { APIGatewayProxyResult } from 'aws-lambda'
import { handler } from '../../functions/api.ts'
import { type AuditRecord, audits } from '../../lib/audit/audit.ts'
import type { ApiEvent } from '../../lib/kit/http/pipeline.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { wire } from '../../lib/wiring/current.ts'
import { contextOf, proxyEvent } from '../../local/events.ts'
import type { World } from '../sim/world.ts'
import { PROJECT } from './scenarios.ts'

/** A request to the API of the simulated world. */
export interface Sent {
  method: string
  path: string
  body?: unknown
  headers?: Record<string, string>
  user?: string
  roles?: string
}

async function send(platform: Platform, sent: Sent) {
  const { method, path, body, headers = {}, user = 'u1', roles = 'member' } = sent
  wire(platform)
  const [where = '', search = ''] = path.split('?')
  const event = proxyEvent(
    {
      method,
      path: `/v1.0/${PROJECT}${where}`,
      search,
      headers: { host: 'localhost', ...headers },
      body: body === undefined ? '' : JSON.stringify(body),
      remote: '127.0.0.9',
    },
    { project_id: PROJECT, user_id: user, roles },
  )
  const answer: APIGatewayProxyResult = await handler(event as ApiEvent<Platform>, contextOf('api', 29_000))
  return { status: answer.statusCode, headers: answer.headers ?? {}, text: answer.body }
}
export type Answer = Awaited<ReturnType<typeof send>>

/** What is answered; undefined if the control plane died over it. */
export const asked = (world: World, sent: Sent): Promise<Answer | undefined> =>
  world.request(platform => send(platform, sent))

/** What the audit has, the latest first. */
export const records = async (world: World): Promise<AuditRecord[]> =>
  (await audits.list(world.store, PROJECT, { limit: 100 })).map(({ body }) => body)
