import { describe, expect, it } from '@jest/globals'
import middy from '@middy/core'
import type { APIGatewayProxyResult, Context } from 'aws-lambda'
import { type ApiEvent, faultResponses, timeoutFault } from '../../../lib/kit/http/pipeline.ts'
import { faultBody } from '../../../lib/trove/faults.ts'
import { proxyEvent } from '../../../local/gateway/events.ts'

describe('the pipeline', () => {
  it("answers 504 in Trove's format when the function runs out of time", async () => {
    const handler = middy<ApiEvent<unknown>, APIGatewayProxyResult, Error, Context>({
      timeoutEarlyResponse: timeoutFault,
    })
      .use(faultResponses(faultBody))
      .handler(() => new Promise<never>(() => {}))
    const incoming = { method: 'GET', path: '/', search: '', headers: {}, body: '', remote: '' }
    const context = { getRemainingTimeInMillis: () => 20 } as unknown as Context
    const answer = await handler(proxyEvent(incoming, undefined) as ApiEvent<unknown>, context)
    expect(answer.statusCode).toBe(504)
    expect(JSON.parse(answer.body)).toEqual({ gatewayTimeout: { code: 504, message: expect.any(String) } })
  })
})
