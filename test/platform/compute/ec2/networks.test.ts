import { describe, expect, it } from '@jest/globals'
import { ingressRules, networkOf } from '../../../../lib/platform/compute/ec2/networks.ts'

describe('ingress rules', () => {
  it.each([
    ['10.1.2.3', '10.1.2.3/32'],
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['192.0.2.77/24', '192.0.2.0/24'],
    ['255.255.255.255/1', '128.0.0.0/1'],
    ['1.2.3.4/0', '0.0.0.0/0'],
  ])('write %s as %s', (cidr, network) => expect(networkOf(cidr)).toBe(network))

  it('admit the networks named, each once; else everybody to a public address, and the VPC to a private one', () => {
    const vpcNetworks = ['172.31.0.0/16']
    expect(ingressRules({ is_public: true, allowed_cidrs: ['10.0.0.9/8', '10.0.0.0/8'] }, vpcNetworks)).toEqual([
      '10.0.0.0/8',
    ])
    expect(ingressRules({ allowed_cidrs: ['10.0.0.1'] }, vpcNetworks)).toEqual(['10.0.0.1/32'])
    expect(ingressRules({ is_public: true, allowed_cidrs: [] }, vpcNetworks)).toEqual(['0.0.0.0/0'])
    expect(ingressRules({ is_public: false }, vpcNetworks)).toEqual(vpcNetworks)
    expect(ingressRules(undefined, vpcNetworks)).toEqual(vpcNetworks)
  })
})
