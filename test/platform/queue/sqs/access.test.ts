import { describe, expect, it } from '@jest/globals'
import { rolePolicy, sessionPolicy } from '../../../../lib/platform/queue/sqs/access.ts'

const place = { region: 'eu-central-1', account: '123456789012', prefix: 'coffer-prod-' }
const arn = (topic: string) => `arn:aws:sqs:eu-central-1:123456789012:coffer-prod-${topic}`

describe("the policy of an agent's session", () => {
  it('allows its own queue and sending to the conductor, and nothing else', () => {
    expect(sessionPolicy(place, { receive: ['guest-7-2'], send: ['conductor'] })).toEqual({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Action: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:ChangeMessageVisibility'],
          Resource: [arn('guest-7-2')],
        },
        { Effect: 'Allow', Action: ['sqs:SendMessage'], Resource: [arn('conductor')] },
      ],
    })
  })

  it('refuses a topic that would widen it', () => {
    for (const topic of ['*', 'guest-*', 'a?', 'a:b', '', `\${aws:username}`, 'a/b', 'x'.repeat(81)]) {
      expect(() => sessionPolicy(place, { receive: [topic], send: [] })).toThrow(RangeError)
      expect(() => sessionPolicy(place, { receive: [], send: [topic] })).toThrow(RangeError)
    }
  })

  it('stays within the role, which allows the topic of the tag', () => {
    const { Statement } = rolePolicy({ ...place, partition: 'aws-cn' }, ['conductor'])
    expect(Statement.map(({ Resource }) => Resource)).toEqual([
      [`arn:aws-cn:sqs:eu-central-1:123456789012:coffer-prod-\${aws:PrincipalTag/coffer-topic}`],
      ['arn:aws-cn:sqs:eu-central-1:123456789012:coffer-prod-conductor'],
    ])
    const session = sessionPolicy(place, { receive: ['a'], send: ['conductor'] })
    expect(Statement.map(({ Action }) => Action)).toEqual(session.Statement.map(({ Action }) => Action))
  })

  it('is shorter than the 2,048 characters that STS allows', () => {
    const longest = 'x'.repeat(67)
    expect(JSON.stringify(sessionPolicy(place, { receive: [longest], send: [longest] })).length).toBeLessThan(2_048)
  })
})
