import type { APIGatewayProxyResult } from 'aws-lambda'
import { handler } from '../../functions/api.ts'
import type { ApiEvent } from '../../lib/kit/http/pipeline.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { wire } from '../../lib/wiring/current.ts'
import { contextOf, proxyEvent } from '../../local/events.ts'
import type { World } from './world.ts'

/** A request of a user whom the authorizer knows. A body that is a string is sent as it is; paths are those after the project. */
export interface Sent {
  method: string
  path: string
  body?: unknown
  headers?: Record<string, string>
  user?: string
  project?: string
  roles?: string
}

export interface Answer {
  status: number
  headers: NonNullable<APIGatewayProxyResult['headers']>
  text: string
}

/** Asks the API's function, as a gateway does; undefined if the control plane died over it. */
export const asked = (world: World, sent: Sent): Promise<Answer | undefined> =>
  world.request(platform => send(platform, sent))

async function send(platform: Platform, sent: Sent): Promise<Answer> {
  const { method, path, body, headers = {}, user = 'u1', project = 'p1', roles = 'member' } = sent
  wire(platform)
  const [where = '', search = ''] = path.split('?')
  const event = proxyEvent(
    {
      method,
      path: `/v1.0/${project}${where}`,
      search,
      headers: { host: 'localhost', ...headers },
      body: body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body),
      remote: '127.0.0.9',
    },
    { project_id: project, user_id: user, roles },
  )
  const answer = await handler(event as ApiEvent<Platform>, contextOf('api', 29_000))
  return { status: answer.statusCode, headers: answer.headers ?? {}, text: answer.body }
}
