import type { APIGatewayProxyResult } from 'aws-lambda'
import { handler } from '../../functions/api.ts'
import type { ApiEvent } from '../../lib/kit/http/pipeline.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { setPlatform } from '../../lib/wiring/current.ts'
import { contextOf, proxyEvent } from '../../local/gateway/events.ts'
import type { World } from './world.ts'

/** A request of an authorized user. The path is the part after the project's; a string body is sent unchanged. */
export interface ApiRequest {
  method: string
  path: string
  body?: unknown
  headers?: Record<string, string>
  user?: string
  project?: string
  roles?: string
}

export interface ApiResponse {
  status: number
  headers: NonNullable<APIGatewayProxyResult['headers']>
  text: string
}

/** Calls the API's handler, as a gateway does; undefined if the control plane died meanwhile. */
export const sendRequest = (world: World, request: ApiRequest): Promise<ApiResponse | undefined> =>
  world.request(platform => send(platform, request))

async function send(platform: Platform, request: ApiRequest): Promise<ApiResponse> {
  const { method, path, body, headers = {}, user = 'u1', project = 'p1', roles = 'member' } = request
  setPlatform(platform)
  const [pathname = '', search = ''] = path.split('?')
  const event = proxyEvent(
    {
      method,
      path: `/v1.0/${project}${pathname}`,
      search,
      headers: { host: 'localhost', ...headers },
      body: body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body),
      remote: '127.0.0.9',
    },
    { project_id: project, user_id: user, roles },
  )
  const response = await handler(event as ApiEvent<Platform>, contextOf('api', 29_000))
  return { status: response.statusCode, headers: response.headers ?? {}, text: response.body }
}
