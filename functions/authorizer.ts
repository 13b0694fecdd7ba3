import middy from '@middy/core'
import type { APIGatewayAuthorizerResult, APIGatewayRequestAuthorizerEvent } from 'aws-lambda'
import { header } from '../lib/kit/http/pipeline.ts'
import { PLANS, usageKey } from '../lib/limits/plans.ts'
import { wired } from '../lib/wiring/current.ts'

/** A REQUEST authorizer on `X-Auth-Token`: allows every route of the API (route checks are the pipeline's), or throws Unauthorized. */
export const handler = middy<APIGatewayRequestAuthorizerEvent, APIGatewayAuthorizerResult>().handler(async event => {
  const token = header({ headers: event.headers ?? {} }, 'x-auth-token')
  const caller = token ? await wired().identity.verify(token) : undefined
  // The one message that API Gateway turns into its 401.
  if (!caller) throw new Error('Unauthorized')
  const [arn] = event.methodArn.split('/')
  return {
    principalId: caller.user.id,
    policyDocument: {
      Version: '2012-10-17',
      Statement: [{ Action: 'execute-api:Invoke', Effect: 'Allow', Resource: `${arn}/*` }],
    },
    // The usage plan's key, which API Gateway takes from here (`apiKeySourceType: AUTHORIZER`).
    usageIdentifierKey: usageKey({ project: caller.project.id, roles: caller.roles }, PLANS, wired().stage),
    context: { user_id: caller.user.id, project_id: caller.project.id, roles: caller.roles.join(',') },
  }
})
