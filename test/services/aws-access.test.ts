import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { NotAdmitted, type Queue, type SqsAccess } from '../../lib/platform/queue/queue.ts'
import { type SqsQueue, sqsQueue } from '../../lib/platform/queue/sqs.ts'
import { rolePolicy, sqsAccess } from '../../lib/platform/queue/sqs-access.ts'
import { agentSqs } from '../../lib/platform/queue/sqs-agent.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { type Ministack, ministack } from './ministack.ts'
import { iam } from './signed.ts'

const ACCOUNT = '000000000000'
const ROLE = `arn:aws:iam::${ACCOUNT}:role/coffer-guest`
const place = { region: 'us-east-1', account: ACCOUNT, prefix: 'test-', emulated: true }
const TOPICS = ['guest-1-1', 'guest-2-1', 'conductor', 'taskmanager']

let aws: Ministack
let operator: SqsQueue
let issuer: ReturnType<typeof sqsAccess>

beforeAll(async () => {
  aws = await ministack({ auth: true })
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
  await iam(aws.endpoint, { Action: 'CreateRole', RoleName, AssumeRolePolicyDocument: JSON.stringify(trust) })
  // The emulator knows tags in conditions, but no variables in resources: to it the role has all topics, and what binds an
  // agent is its session's policy. On AWS both do.
  const PolicyDocument = JSON.stringify(rolePolicy(place, ['conductor'])).replace(/\$\{[^}]*\}/, '*')
  await iam(aws.endpoint, { Action: 'PutRolePolicy', RoleName, PolicyName: 'queues', PolicyDocument })
  const { connection } = aws
  issuer = sqsAccess({ clock: realClock, connection, place, role: ROLE, address: operator.address })
})
afterAll(async () => {
  await operator?.close()
  issuer?.close()
  await aws?.stop()
})

/** The queue of an agent with that grant, knowing the addresses of all topics. */
async function agent(receive: string, send: string, more: Partial<SqsAccess> = {}): Promise<Queue> {
  const expires = realClock.now() + 3_600_000
  const access = { ...(await issuer.access({ receive: [receive], send: [send], expires })), ...more }
  const urls = Object.fromEntries(await Promise.all(TOPICS.map(async topic => [topic, await operator.address(topic)])))
  return agentSqs({ ...access, urls }, realClock, async () => ({ access, expires }))
}

const AT_ONCE = { max: 10, waitMs: 0 }

describe("an agent's access to SQS, where IAM is enforced", () => {
  it('admits it to its own queue and to sending to the conductor', async () => {
    const guest = await agent('guest-1-1', 'conductor')
    await operator.send('guest-1-1', [{ body: 'command' }, { body: 'again' }])
    const [first, second] = [
      await guest.receive('guest-1-1', AT_ONCE),
      await guest.receive('guest-1-1', AT_ONCE),
    ].flat()
    await guest.ack('guest-1-1', [first!.receipt])
    await guest.release('guest-1-1', [second!.receipt])
    const [last] = await guest.receive('guest-1-1', AT_ONCE)
    expect(last).toMatchObject({ body: second!.body, attempt: 2 })
    await guest.extend('guest-1-1', last!.receipt, 60_000)
    await guest.send('conductor', [{ body: 'report', group: 'demo' }])
    expect(await operator.receive('conductor', AT_ONCE)).toMatchObject([{ body: 'report' }])
    await guest.close()
  })

  it('admits it to nothing else', async () => {
    const guest = await agent('guest-1-1', 'conductor')
    const calls: [string, () => Promise<unknown>][] = [
      ['receive of another', () => guest.receive('guest-2-1', AT_ONCE)],
      ['send to another', () => guest.send('guest-2-1', [{ body: 'x' }])],
      ['ack of another', () => guest.ack('guest-2-1', ['x'])],
      ['release of another', () => guest.release('guest-2-1', ['x'])],
      ['send to itself', () => guest.send('guest-1-1', [{ body: 'x' }])],
      ['receive from the conductor', () => guest.receive('conductor', AT_ONCE)],
      ['send to the taskmanager', () => guest.send('taskmanager', [{ body: 'x' }])],
      ['declare', () => guest.declare('guest-3-1')],
      ['remove', () => guest.remove('guest-1-1')],
      ['an address', () => guest.send('unknown', [{ body: 'x' }])],
    ]
    for (const [what, call] of calls) {
      const error = await call().catch((error: unknown) => error)
      expect([what, error instanceof NotAdmitted]).toEqual([what, true])
    }
    expect(await operator.receive('taskmanager', AT_ONCE)).toEqual([])
    await guest.close()
  })

  it('is not wider than the role, whatever the grant says', async () => {
    const guest = await agent('guest-2-1', 'taskmanager')
    await expect(guest.send('taskmanager', [{ body: 'x' }])).rejects.toThrow(NotAdmitted)
    expect(await guest.receive('guest-2-1', AT_ONCE)).toEqual([])
    await guest.close()
  })

  it('has one topic to receive from, and addresses of just what it may reach', async () => {
    const expires = realClock.now() + 3_600_000
    const access = await issuer.access({ receive: ['guest-1-1'], send: ['conductor'], expires })
    expect(Object.keys(access.urls)).toEqual(['guest-1-1', 'conductor'])
    expect(access).toMatchObject({ kind: 'sqs', region: 'us-east-1', endpoint: aws.endpoint })
    await expect(issuer.access({ receive: ['guest-1-1', 'guest-2-1'], send: [], expires })).rejects.toThrow(RangeError)
  })
})
