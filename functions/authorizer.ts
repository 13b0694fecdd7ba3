import middy from '@middy/core'
import type { APIGatewayAuthorizerResult, APIGatewayRequestAuthorizerEvent } from 'aws-lambda'
import { header } from '../lib/kit/http/pipeline.ts'
import { PLANS, usageKey } from '../lib/limits/plans.ts'
import { getPlatform } from '../lib/wiring/current.ts'

/**
 * A REQUEST authorizer for `X-Auth-Token`. A valid token allows every route: the pipeline checks each route. Throws
 * Unauthorized.
 */
export const handler = middy<APIGatewayRequestAuthorizerEvent, APIGatewayAuthorizerResult>().handler(async event => {
  const token = header({ headers: event.headers ?? {} }, 'x-auth-token')
  const caller = token ? await getPlatform().identity.verify(token) : undefined
  // API Gateway answers 401 only for exactly this message.
  if (!caller) throw new Error('Unauthorized')
  const [arn] = event.methodArn.split('/')
  return {
    principalId: caller.user.id,
    policyDocument: {
      Version: '2012-10-17',
      Statement: [{ Action: 'execute-api:Invoke', Effect: 'Allow', Resource: `${arn}/*` }],
    },
    // API Gateway reads the usage plan's key here (`apiKeySourceType: AUTHORIZER`).
    usageIdentifierKey: usageKey({ project: caller.project.id, roles: caller.roles }, PLANS, getPlatform().stage),
    context: { user_id: caller.user.id, project_id: caller.project.id, roles: caller.roles.join(',') },
  }
})
