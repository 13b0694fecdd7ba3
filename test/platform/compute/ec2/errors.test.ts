import { describe, expect, it } from '@jest/globals'
import { CloudBusy, CloudFault, terminationReason, translate } from '../../../../lib/platform/compute/ec2/errors.ts'

describe('an error of EC2', () => {
  const error = (name: string, status?: number, rest: object = {}) =>
    Object.assign(new Error('in detail'), { name, ...(status && { $metadata: { httpStatusCode: status } }), ...rest })
  const translated = (thrown: unknown) => {
    const lines: string[] = []
    return { result: translate(thrown, 'start a machine', line => lines.push(line)), lines }
  }

  it.each([
    ['RequestLimitExceeded', 503],
    ['Throttling', 400],
    ['InternalError', 500],
    ['Whatever', 500],
    ['IncorrectInstanceState', 400],
    ['InvalidInstanceID.NotFound', 400],
    ['DependencyViolation', 400],
    ['TimeoutError', undefined],
  ])('is transient if it is %s (%s)', (name, status) => {
    const { result, lines } = translated(error(name, status))
    expect(result).toBeInstanceOf(CloudBusy)
    expect(result.message).toContain(name)
    expect(lines).toEqual([])
  })

  it.each([
    ['InsufficientInstanceCapacity', 500],
    ['VcpuLimitExceeded', 400],
    ['RulesPerSecurityGroupLimitExceeded', 400],
    ['InsufficientFreeAddressesInSubnet', 400],
  ])('is a fault that the owner can read if it is %s (%s)', (name, status) => {
    const { result, lines } = translated(error(name, status))
    expect(result).toBeInstanceOf(CloudFault)
    expect(result.message).toMatch(/^AWS (has|lets|does)/)
    expect(result.message).not.toContain('in detail')
    expect(lines).toEqual([])
  })

  it.each(['UnauthorizedOperation', 'InvalidSubnetID.NotFound', 'AuthFailure', 'InvalidParameterValue', 'toString'])(
    'is a fault and one line for the operator if it is %s',
    name => {
      const { result, lines } = translated(error(name, 400))
      expect(result).toBeInstanceOf(CloudFault)
      expect(result.message).not.toContain('in detail')
      expect(lines).toEqual([`EC2 refused to start a machine: ${name}: in detail`])
    },
  )

  it('is not translated twice', () => {
    const fault = new CloudFault('x')
    expect(translated(fault).result).toBe(fault)
  })

  it('also explains why a machine ended by itself', () => {
    expect(terminationReason({ Code: 'Server.InsufficientInstanceCapacity', Message: 'm' })).toMatch(
      /^AWS has no machine/,
    )
    expect(terminationReason({ Code: 'Client.UserInitiatedShutdown', Message: 'User initiated' })).toBe(
      'AWS ended the machine: User initiated',
    )
    expect(terminationReason(undefined)).toBe('AWS ended the machine.')
  })
})
