import middy from '@middy/core'
import type { APIGatewayProxyEvent, APIGatewayProxyResult } from 'aws-lambda'
import { EnrolRequest, enrol } from '../lib/guests/enrol.ts'
import { Fault, reason } from '../lib/kit/errors.ts'
import { parseJson, validated } from '../lib/kit/http/parse.ts'
import { wired } from '../lib/wiring/current.ts'

const reply = (statusCode: number, body: unknown): APIGatewayProxyResult => ({
  statusCode,
  headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
  body: JSON.stringify(body),
})

/** `POST /enrol`: an agent trades its secret (or its signature) for addresses, keys and credentials. */
export const handler = middy<APIGatewayProxyEvent, APIGatewayProxyResult>().handler(async event => {
  try {
    if (event.httpMethod !== 'POST') throw new Fault(404, 'The resource could not be found.')
    const request = validated(EnrolRequest, parseJson(event.body ?? ''))
    return reply(200, await enrol(wired(), request))
  } catch (error) {
    const fault = error instanceof Fault ? error : new Fault(500, 'An unexpected error happened.')
    wired().log.warn({ status: fault.status, error: reason(error) }, 'enrolment refused')
    return reply(fault.status, fault.body())
  }
})
