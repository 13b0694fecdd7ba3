import { describe, expect, it } from '@jest/globals'
import { ec2Machines } from '../../lib/wiring/aws-ec2.ts'

describe('the settings of EC2', () => {
  const parts = { connection: { region: 'eu-central-1' } } as never
  const good = {
    COFFER_QUEUES: 'coffer-dev',
    COFFER_BUCKET: 'b',
    COFFER_EC2_IMAGE: 'ami-0123456789abcdef0',
    COFFER_EC2_SUBNETS: 'subnet-0123, subnet-4567',
    AWS_REGION: 'eu-central-1',
  }

  it.each([
    [{ COFFER_EC2_IMAGE: 'unset' }, /^EC2 is not set up: COFFER_EC2_IMAGE: is not an image \(ami-…\)$/],
    [{ COFFER_EC2_SUBNETS: 'unset' }, /^EC2 is not set up: COFFER_EC2_SUBNETS\.0: is not a list of subnets/],
    [{ COFFER_EC2_SUBNETS: '' }, /COFFER_EC2_SUBNETS/],
    [{ COFFER_BUCKET: undefined }, /^EC2 is not set up: COFFER_BUCKET: /],
  ])('report %j in one line', (wrong, line) => {
    expect(() => ec2Machines({ ...good, ...wrong })(parts)).toThrow(line)
  })
})
