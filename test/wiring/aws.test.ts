import { describe, expect, it } from '@jest/globals'
import { HostAccess } from '../../lib/contracts/host-access.ts'
import { derivedKeys } from '../../lib/kit/crypto/keys.ts'
import type { SqsQueue } from '../../lib/platform/queue/sqs/queue.ts'
import { AwsSettings, awsHostAccess, awsPlatform, stageNames } from '../../lib/wiring/aws.ts'
import { ec2Machines } from '../../lib/wiring/aws-ec2.ts'
import { secretsOf } from '../kit/secrets.ts'

describe('the functions on AWS', () => {
  const settings = (compute?: string) =>
    AwsSettings.parse({
      ...stageNames('dev'),
      COFFER_GUEST_ROLE: 'arn:aws:iam::1:role/guest',
      COFFER_URL: 'https://api.example.org',
      COFFER_RATE: '0',
      COFFER_ACCOUNT: '1',
      COFFER_LOG_LEVEL: 'silent',
      AWS_REGION: 'eu-central-1',
      ...(compute && { COFFER_COMPUTE: compute }),
    })
  const environment = {
    COFFER_QUEUES: 'coffer-dev',
    COFFER_BUCKET: 'b',
    COFFER_EC2_IMAGE: 'ami-0123',
    COFFER_EC2_SUBNETS: 'subnet-0123',
    AWS_REGION: 'eu-central-1',
  }
  const server = { name: 'server-i1-1', instance: 'i1', project: 'p1', generation: 1 }

  it('use EC2 if it is configured and bundled, only read states if it is not bundled, and use a host daemon by default', async () => {
    expect(awsPlatform(settings('ec2'), ec2Machines(environment)).compute.pollStates).toBeDefined()
    const reader = awsPlatform(settings('ec2')).compute
    expect(reader.pollStates).toBeUndefined()
    await expect(reader.deleteServer(server)).rejects.toThrow('by the taskmanager')
    const created: string[] = []
    const host = awsPlatform(settings(), () => {
      created.push('machines')
      throw new Error('not expected')
    })
    expect(host.compute.pollStates).toBeUndefined()
    expect(created).toEqual([])
  })

  it("give a host's daemon the URLs of its own topic and the conductor's", async () => {
    const declared: string[] = []
    const queue = {
      declare: async (topic: string) => void declared.push(topic),
      address: async (topic: string) => `https://sqs/${topic}`,
    } as SqsQueue
    const master = { id: 'k1', bytes: new Uint8Array(32) }
    const keys = derivedKeys(secretsOf([master]))
    const credentials = { accessKeyId: 'a', secretAccessKey: 's', sessionToken: 't' }
    const access = await awsHostAccess({ queue, keys }, settings(), credentials, 'h2')
    expect(HostAccess.strict().parse(access)).toEqual(access)
    const urls = { 'host-h2': 'https://sqs/host-h2', conductor: 'https://sqs/conductor' }
    expect(access).toMatchObject({ hostId: 'h2', topic: 'host-h2', queue: { kind: 'sqs', urls, credentials } })
    const standard = await awsHostAccess({ queue, keys }, settings(), credentials)
    expect([standard.hostId, standard.keys.down === access.keys.down]).toEqual(['local', false])
    expect(declared).toEqual(['host-h2', 'host-local'])
  })
})
