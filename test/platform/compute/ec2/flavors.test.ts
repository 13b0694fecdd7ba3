import { describe, expect, it } from '@jest/globals'
import { FLAVORS } from '../../../../lib/model/flavor.ts'
import { CloudFault } from '../../../../lib/platform/compute/ec2/errors.ts'
import { INSTANCE_TYPES, instanceType } from '../../../../lib/platform/compute/ec2/flavors.ts'

describe('instance types', () => {
  it('exist for every flavor, at least as large, and different for each', () => {
    const types = FLAVORS.map(({ ram, vcpus }) => instanceType({ ramMb: ram, vcpus }))
    expect(new Set(types).size).toBe(FLAVORS.length)
    for (const [index, { ram, vcpus }] of FLAVORS.entries()) {
      const type = INSTANCE_TYPES.find(candidate => candidate.type === types[index])
      expect(type!.ramMb).toBeGreaterThanOrEqual(ram)
      expect(type!.vcpus).toBeGreaterThanOrEqual(vcpus)
    }
    expect(() => instanceType({ ramMb: 1_000_000, vcpus: 1 })).toThrow(CloudFault)
  })
})
