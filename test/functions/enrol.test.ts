import { describe, expect, it } from '@jest/globals'
import type { APIGatewayProxyEvent } from 'aws-lambda'
import { handler } from '../../functions/enrol.ts'
import { enrolSecret } from '../../lib/agents/enrol-secret.ts'
import { EnrolAnswer } from '../../lib/contracts/enrol.ts'
import { setPlatform } from '../../lib/wiring/current.ts'
import { contextOf, proxyEvent } from '../../local/gateway/events.ts'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { World } from '../sim/world.ts'

const PUBLIC_KEY = { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) }

/** A new instance whose agent has not enrolled, its valid request, and a function that posts one. */
async function setUp() {
  const world = await new World().open()
  await scenarios.create_instance.begin(world.platform)
  const instance = (await theInstance(world))?.id ?? ''
  const secret = await enrolSecret(world.platform.keys, instance, 1)
  setPlatform(world.platform)
  const post = async (body: unknown) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const request = { method: 'POST', path: '/enrol', search: '', headers: {}, body: text, remote: '127.0.0.9' }
    const event = proxyEvent(request, undefined) as APIGatewayProxyEvent
    const response = await handler(event, contextOf('enrol', 29_000))
    return { status: response.statusCode, body: JSON.parse(response.body) }
  }
  return { post, request: { instance, generation: 1, secret, publicKey: PUBLIC_KEY } }
}

describe('POST /enrol', () => {
  it('answers as the contract says, and no more', async () => {
    const { post, request } = await setUp()
    const { status, body } = await post(request)
    expect(status).toBe(200)
    expect(EnrolAnswer.strict().parse(body)).toEqual(body)
  })

  it('answers an invalid request with 400 and what is wrong', async () => {
    const { post, request } = await setUp()
    expect(await post('{')).toMatchObject({ status: 400 })
    expect(await post({ ...request, publicKey: { ...PUBLIC_KEY, x: 7 } })).toEqual({
      status: 400,
      body: {
        badRequest: { code: 400, message: "Validation error: publicKey['x'] expected string, received number" },
      },
    })
  })

  it('answers a wrong secret with 401, and 503 until the address is known', async () => {
    const { post, request } = await setUp()
    expect(await post({ ...request, secret: 'x'.repeat(43) })).toMatchObject({ status: 401 })
    expect(await post({ ...request, tlsKey: 'AAAA' })).toMatchObject({ status: 503 })
  })
})
