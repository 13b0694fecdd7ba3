import middy from '@middy/core'
import type { APIGatewayProxyEvent, APIGatewayProxyResult } from 'aws-lambda'
import { type Keystone, keystone } from '../lib/identity/keystone.ts'
import { baseOf } from '../lib/kit/http/pipeline.ts'
import type { Platform } from '../lib/platform/platform.ts'
import { wired } from '../lib/wiring/current.ts'

let made: { platform: Platform; keystone: Keystone } | undefined

function service(): Keystone {
  const platform = wired()
  if (made?.platform === platform) return made.keystone
  const { identityService: identity } = platform
  if (!identity) throw new Error('this way to run has an identity service of its own')
  made = { platform, keystone: keystone({ ...platform, identity }) }
  return made.keystone
}

/** API Gateway proxy events of `/identity` and below: the builtin look-alike of Keystone v3. */
export const handler = middy<APIGatewayProxyEvent, APIGatewayProxyResult>().handler(async event => {
  const headers = Object.entries(event.headers).map(([name, value]) => [name.toLowerCase(), value ?? ''])
  const query = Object.entries(event.queryStringParameters ?? {}).map(([name, value]) => [name, value ?? ''])
  const answer = await service().handle({
    method: event.httpMethod,
    path: event.path.replace(/^\/identity/, ''),
    query: Object.fromEntries(query),
    headers: Object.fromEntries(headers),
    body: event.body ?? undefined,
    baseUrl: wired().publicUrl ?? baseOf(event),
  })
  return { statusCode: answer.status, headers: answer.headers, body: answer.body }
})
