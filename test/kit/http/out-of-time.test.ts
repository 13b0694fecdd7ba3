import { describe, expect, it } from '@jest/globals'
import middy from '@middy/core'
import type { APIGatewayProxyResult, Context } from 'aws-lambda'
import { type ApiEvent, faults, outOfTime } from '../../../lib/kit/http/pipeline.ts'
import { proxyEvent } from '../../../local/events.ts'

describe('a request that takes longer than its function may', () => {
  it("is answered 504 in Trove's form", async () => {
    const handler = middy<ApiEvent<unknown>, APIGatewayProxyResult, Error, Context>({ timeoutEarlyResponse: outOfTime })
      .use(faults())
      .handler(() => new Promise<never>(() => {}))
    const incoming = { method: 'GET', path: '/', search: '', headers: {}, body: '', remote: '' }
    const context = { getRemainingTimeInMillis: () => 20 } as unknown as Context
    const answer = await handler(proxyEvent(incoming, undefined) as ApiEvent<unknown>, context)
    expect(answer.statusCode).toBe(504)
    expect(JSON.parse(answer.body)).toEqual({ gatewayTimeout: { code: 504, message: expect.any(String) } })
  })
})
