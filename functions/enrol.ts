import middy from '@middy/core'
import type { APIGatewayProxyEvent, APIGatewayProxyResult } from 'aws-lambda'
import { dispatchEnrolment } from '../lib/conductor/enrol.ts'
import { EnrolRequest } from '../lib/contracts/enrol.ts'
import { Fault, faultOf, messageOf } from '../lib/kit/errors.ts'
import { parseAs, parseJson } from '../lib/kit/http/parse.ts'
import { faultBody } from '../lib/trove/faults.ts'
import { getPlatform } from '../lib/wiring/current.ts'

const reply = (statusCode: number, body: unknown): APIGatewayProxyResult => ({
  statusCode,
  headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' },
  body: JSON.stringify(body),
})

/** `POST /enrol`: an agent exchanges its secret (or its signature) for addresses, keys and credentials. */
export const handler = middy<APIGatewayProxyEvent, APIGatewayProxyResult>().handler(async event => {
  try {
    if (event.httpMethod !== 'POST') throw new Fault(404, 'The resource could not be found.')
    // The contract would refuse it too, but not in Trove's words.
    const request = parseAs(EnrolRequest, parseJson(event.body ?? ''))
    return reply(200, await dispatchEnrolment('enrol', request, getPlatform()))
  } catch (error) {
    const fault = faultOf(error) ?? new Fault(500, 'An unexpected error happened.')
    getPlatform().log.warn({ status: fault.status, error: messageOf(error) }, 'enrolment refused')
    return reply(fault.status, faultBody(fault))
  }
})
