import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { QueueAccessOf } from '../../lib/contracts/queue-access.ts'
import { rolePolicy, sqsAccess } from '../../lib/platform/queue/sqs/access.ts'
import { agentSqs } from '../../lib/platform/queue/sqs/agent.ts'
import { type SqsQueue, sqsQueue } from '../../lib/platform/queue/sqs/queue.ts'
import { AccessDenied, type Queue } from '../../lib/ports/queue.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { type Ministack, startMinistack } from './ministack.ts'
import { callIam } from './signed.ts'

const ACCOUNT = '000000000000'
const ROLE = `arn:aws:iam::${ACCOUNT}:role/coffer-guest`
const scope = { region: 'us-east-1', account: ACCOUNT, prefix: 'test-', emulated: true }
const TOPICS = ['guest-1-1', 'guest-2-1', 'conductor', 'taskmanager']

let aws: Ministack
let operator: SqsQueue
let issuer: ReturnType<typeof sqsAccess>

beforeAll(async () => {
  aws = await startMinistack({ auth: true })
  operator = sqsQueue({ clock: realClock, connection: aws.connection, prefix: 'test-' })
  for (const topic of TOPICS) await operator.declare(topic)
  const trust = {
    Version: '2012-10-17',
    Statement: [
      {
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
        Action: ['sts:AssumeRole', 'sts:TagSession'],
      },
    ],
  }
  const RoleName = 'coffer-guest'
  await callIam(aws.endpoint, { Action: 'CreateRole', RoleName, AssumeRolePolicyDocument: JSON.stringify(trust) })
  // The emulator supports no variables in resources: there the role covers all topics, and only the session's policy
  // limits an agent. On AWS both do.
  const PolicyDocument = JSON.stringify(rolePolicy(scope, ['conductor'])).replace(/\$\{[^}]*\}/, '*')
  await callIam(aws.endpoint, { Action: 'PutRolePolicy', RoleName, PolicyName: 'queues', PolicyDocument })
  const { connection } = aws
  issuer = sqsAccess({ clock: realClock, connection, place: scope, role: ROLE, address: operator.address })
})
afterAll(async () => {
  await operator?.close()
  issuer?.close()
  await aws?.stop()
})

/** The queue of an agent with that grant, but with the URLs of all topics. */
async function agent(receive: string, send: string, changes: Partial<QueueAccessOf<'sqs'>> = {}): Promise<Queue> {
  const expires = realClock.now() + 3_600_000
  const access = { ...(await issuer.access({ receive: [receive], send: [send], expires })), ...changes }
  const urls = Object.fromEntries(await Promise.all(TOPICS.map(async topic => [topic, await operator.address(topic)])))
  return agentSqs({ ...access, urls }, realClock, async () => ({ access, expires }))
}

const NO_WAIT = { max: 10, waitMs: 0 }

describe("an agent's access to SQS with IAM enforced", () => {
  it('allows receiving from its own queue and sending to the conductor', async () => {
    const guest = await agent('guest-1-1', 'conductor')
    await operator.send('guest-1-1', [{ body: 'command' }, { body: 'again' }])
    const [first, second] = [
      await guest.receive('guest-1-1', NO_WAIT),
      await guest.receive('guest-1-1', NO_WAIT),
    ].flat()
    await guest.ack('guest-1-1', [first!.receipt])
    await guest.release('guest-1-1', [second!.receipt])
    const [last] = await guest.receive('guest-1-1', NO_WAIT)
    expect(last).toMatchObject({ body: second!.body, attempt: 2 })
    await guest.extend('guest-1-1', last!.receipt, 60_000)
    await guest.send('conductor', [{ body: 'report', group: 'demo' }])
    expect(await operator.receive('conductor', NO_WAIT)).toMatchObject([{ body: 'report' }])
    await guest.close()
  })

  it('allows nothing else', async () => {
    const guest = await agent('guest-1-1', 'conductor')
    const calls: [string, () => Promise<unknown>][] = [
      ['receive of another', () => guest.receive('guest-2-1', NO_WAIT)],
      ['send to another', () => guest.send('guest-2-1', [{ body: 'x' }])],
      ['ack of another', () => guest.ack('guest-2-1', ['x'])],
      ['release of another', () => guest.release('guest-2-1', ['x'])],
      ['send to itself', () => guest.send('guest-1-1', [{ body: 'x' }])],
      ['receive from the conductor', () => guest.receive('conductor', NO_WAIT)],
      ['send to the taskmanager', () => guest.send('taskmanager', [{ body: 'x' }])],
      ['declare', () => guest.declare('guest-3-1')],
      ['remove', () => guest.remove('guest-1-1')],
      ['an address', () => guest.send('unknown', [{ body: 'x' }])],
    ]
    for (const [what, call] of calls) {
      const error = await call().catch((error: unknown) => error)
      expect([what, error instanceof AccessDenied]).toEqual([what, true])
    }
    expect(await operator.receive('taskmanager', NO_WAIT)).toEqual([])
    await guest.close()
  })

  it('is not wider than the role, whatever the grant says', async () => {
    const guest = await agent('guest-2-1', 'taskmanager')
    await expect(guest.send('taskmanager', [{ body: 'x' }])).rejects.toThrow(AccessDenied)
    expect(await guest.receive('guest-2-1', NO_WAIT)).toEqual([])
    await guest.close()
  })

  it('is for one topic to receive from, with the URLs of just its topics', async () => {
    const expires = realClock.now() + 3_600_000
    const access = await issuer.access({ receive: ['guest-1-1'], send: ['conductor'], expires })
    expect(Object.keys(access.urls)).toEqual(['guest-1-1', 'conductor'])
    expect(access).toMatchObject({ kind: 'sqs', region: 'us-east-1', endpoint: aws.endpoint })
    await expect(issuer.access({ receive: ['guest-1-1', 'guest-2-1'], send: [], expires })).rejects.toThrow(RangeError)
  })
})
