import middy from '@middy/core'
import type { APIGatewayProxyEvent, APIGatewayProxyResult } from 'aws-lambda'
import { identityAudit } from '../lib/audit/identity.ts'
import { type Keystone, keystone } from '../lib/keystone/keystone.ts'
import { baseUrl } from '../lib/kit/http/pipeline.ts'
import type { Platform } from '../lib/platform/platform.ts'
import { getPlatform } from '../lib/wiring/current.ts'

let cached: { platform: Platform; keystone: Keystone } | undefined

function builtinKeystone(): Keystone {
  const platform = getPlatform()
  if (cached?.platform === platform) return cached.keystone
  const { identityService: identity } = platform
  if (!identity) throw new Error('the builtin identity service is not configured')
  cached = { platform, keystone: keystone({ ...platform, identity, audit: identityAudit(platform) }) }
  return cached.keystone
}

/** Handles API Gateway proxy events for `/identity` and below: the builtin implementation of Keystone v3. */
export const handler = middy<APIGatewayProxyEvent, APIGatewayProxyResult>().handler(async event => {
  const headers = Object.entries(event.headers).map(([name, value]) => [name.toLowerCase(), value ?? ''])
  const query = Object.entries(event.queryStringParameters ?? {}).map(([name, value]) => [name, value ?? ''])
  const response = await builtinKeystone().handle({
    method: event.httpMethod,
    path: event.path.replace(/^\/identity/, ''),
    query: Object.fromEntries(query),
    headers: Object.fromEntries(headers),
    body: event.body ?? undefined,
    baseUrl: getPlatform().publicUrl ?? baseUrl(event),
    remote: event.requestContext?.identity?.sourceIp ?? '',
    requestId: `req-${event.requestContext?.requestId || getPlatform().random.uuid()}`,
  })
  return { statusCode: response.status, headers: response.headers, body: response.body }
})
