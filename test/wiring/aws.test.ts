import { describe, expect, it } from '@jest/globals'
import { AwsSettings, awsPlatform, stageNames } from '../../lib/wiring/aws.ts'
import { ec2Machines } from '../../lib/wiring/aws-ec2.ts'

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
})
