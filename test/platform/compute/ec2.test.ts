import { describe, expect, it } from '@jest/globals'
import { MachineConfig } from '../../../guest-agent/cloud/machine.ts'
import { FLAVORS } from '../../../lib/flavors/flavor.ts'
import { CloudBusy, CloudFault, ending, meaning } from '../../../lib/platform/compute/ec2/errors.ts'
import { INSTANCE_TYPES, instanceType } from '../../../lib/platform/compute/ec2/flavors.ts'
import { admitted, networkOf } from '../../../lib/platform/compute/ec2/networks.ts'
import { presigned } from '../../../lib/platform/compute/ec2/presign.ts'
import { ownerOf, tagsOf, tokenOf } from '../../../lib/platform/compute/ec2/tags.ts'
import { cloudConfig } from '../../../lib/platform/compute/ec2/user-data.ts'
import { AwsSettings, awsPlatform, namesOf } from '../../../lib/wiring/aws.ts'
import { ec2Machines } from '../../../lib/wiring/aws-ec2.ts'

describe('what EC2 is told of a machine', () => {
  const machine = {
    userData: { instance: 'i1', generation: 2, secret: "it's a $ecret", enrolUrl: 'https://api.example.org/enrol' },
    datastore: { manager: 'postgresql', version: '18' },
    volume: 'vol-0123456789abcdef0',
    port: 5432,
    logLevel: 'info',
  }
  const url = 'https://b.s3.eu-central-1.amazonaws.com/agent/agent.tar.gz?X-Amz-Signature=1'
  const text = cloudConfig(machine, url)
  const config = JSON.parse(text.slice('#cloud-config\n'.length))
  const file = (path: string) => config.write_files.find((one: { path: string }) => one.path === path)

  it('is a cloud-config whose machine.json the machine reads, readable for root alone', () => {
    expect(text).toMatch(/^#cloud-config\n\{/)
    // 16 KB before it is base64, says EC2.
    expect(text.length).toBeLessThan(16_384)
    expect(MachineConfig.parse(JSON.parse(file('/etc/coffer/machine.json').content))).toEqual(machine)
    expect(file('/etc/coffer/machine.json')).toMatchObject({ permissions: '0600', owner: 'root:root' })
    expect(file('/etc/coffer/agent.url')).toMatchObject({ content: url, permissions: '0600' })
    expect(config.runcmd).toEqual([['/etc/coffer/install.sh']])
  })

  it('has the secret and the address in those files alone, and no shell reads either', () => {
    const others = config.write_files.filter(({ path }: { path: string }) => !/machine\.json|agent\.url/.test(path))
    expect(JSON.stringify(others)).not.toMatch(/ecret|X-Amz/)
    expect(file('/etc/coffer/install.sh').content).toMatch(/sha256sum --check[^\n]*\n(?:.*\n)*.*systemctl start/)
  })

  it('keeps the metadata service from the agent and its database', () => {
    const unit = file('/etc/systemd/system/coffer-agent.service').content
    expect(unit).toMatch(/^User=coffer$/m)
    expect(unit).toMatch(/^IPAddressDeny=169\.254\.169\.254\/32 fd00:ec2::254\/128$/m)
  })

  it('has an instance type for every flavor, as big as it and each another', () => {
    const types = FLAVORS.map(({ ram, vcpus }) => instanceType({ ramMb: ram, vcpus }))
    expect(new Set(types).size).toBe(FLAVORS.length)
    for (const [index, { ram, vcpus }] of FLAVORS.entries()) {
      const type = INSTANCE_TYPES.find(one => one.type === types[index])
      expect(type!.ramMb).toBeGreaterThanOrEqual(ram)
      expect(type!.vcpus).toBeGreaterThanOrEqual(vcpus)
    }
    expect(() => instanceType({ ramMb: 1_000_000, vcpus: 1 })).toThrow(CloudFault)
  })

  it('is tagged by name, instance, project and deployment, and known again by that', () => {
    const of = { name: 'server-i1-1', instance: 'i1', project: 'p1' }
    const tags = tagsOf('coffer-dev', of)
    expect(Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]))).toEqual({
      Name: 'coffer-dev-server-i1-1',
      'coffer-stage': 'coffer-dev',
      'coffer-name': 'server-i1-1',
      'coffer-instance': 'i1',
      'coffer-project': 'p1',
    })
    expect(ownerOf(tags)).toEqual(of)
    expect(ownerOf(tagsOf('coffer-dev', of, { named: false }))).toBeUndefined()
  })

  it('comes with one token for a name and a deployment, of 64 characters at most', () => {
    expect(tokenOf('coffer-dev', 'server-i1-1')).toBe(tokenOf('coffer-dev', 'server-i1-1'))
    expect(tokenOf('coffer-dev', 'server-i1-1')).toMatch(/^[!-~]{1,64}$/)
    const others = [tokenOf('coffer-prod', 'server-i1-1'), tokenOf('coffer-dev', 'server-i1-2')]
    expect(new Set([tokenOf('coffer-dev', 'server-i1-1'), ...others]).size).toBe(3)
  })
})

describe('a signed address', () => {
  // The example of AWS's documentation, "Authenticating Requests: Using Query Parameters".
  const example = {
    base: 'https://examplebucket.s3.amazonaws.com',
    key: 'test.txt',
    region: 'us-east-1',
    credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' },
    at: Date.UTC(2013, 4, 24),
    seconds: 86_400,
  }

  it("is the one of AWS's own example", () => {
    expect(presigned(example)).toBe(
      'https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256' +
        '&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z' +
        '&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
        '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    )
  })

  it('names the session that signed it, among what is signed', () => {
    const url = presigned({ ...example, credentials: { ...example.credentials, sessionToken: 'a/b=' } })
    expect(url).toContain('&X-Amz-Security-Token=a%2Fb%3D&X-Amz-SignedHeaders=host&')
    expect(url).not.toContain('aeeed9bbccd4d02e')
  })
})

describe('who is let in', () => {
  it.each([
    ['10.1.2.3', '10.1.2.3/32'],
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['192.0.2.77/24', '192.0.2.0/24'],
    ['255.255.255.255/1', '128.0.0.0/1'],
    ['1.2.3.4/0', '0.0.0.0/0'],
  ])('%s is %s', (cidr, network) => expect(networkOf(cidr)).toBe(network))

  it('are the networks named, each once; else everybody at a public address, and the own network at a private one', () => {
    const own = ['172.31.0.0/16']
    expect(admitted({ is_public: true, allowed_cidrs: ['10.0.0.9/8', '10.0.0.0/8'] }, own)).toEqual(['10.0.0.0/8'])
    expect(admitted({ allowed_cidrs: ['10.0.0.1'] }, own)).toEqual(['10.0.0.1/32'])
    expect(admitted({ is_public: true, allowed_cidrs: [] }, own)).toEqual(['0.0.0.0/0'])
    expect(admitted({ is_public: false }, own)).toEqual(own)
    expect(admitted(undefined, own)).toEqual(own)
  })
})

describe('what an error of EC2 means', () => {
  const error = (name: string, status?: number, more: object = {}) =>
    Object.assign(new Error('in detail'), { name, ...(status && { $metadata: { httpStatusCode: status } }), ...more })
  const told = (thrown: unknown) => {
    const lines: string[] = []
    return { meant: meaning(thrown, 'start a machine', line => lines.push(line)), lines }
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
  ])('%s (%s) passes', (name, status) => {
    const { meant, lines } = told(error(name, status))
    expect(meant).toBeInstanceOf(CloudBusy)
    expect(meant.message).toContain(name)
    expect(lines).toEqual([])
  })

  it.each([
    ['InsufficientInstanceCapacity', 500],
    ['VcpuLimitExceeded', 400],
    ['RulesPerSecurityGroupLimitExceeded', 400],
    ['InsufficientFreeAddressesInSubnet', 400],
  ])('%s (%s) is a fault that its owner can read', (name, status) => {
    const { meant, lines } = told(error(name, status))
    expect(meant).toBeInstanceOf(CloudFault)
    expect(meant.message).toMatch(/^AWS (has|lets|does)/)
    expect(meant.message).not.toContain('in detail')
    expect(lines).toEqual([])
  })

  it.each(['UnauthorizedOperation', 'InvalidSubnetID.NotFound', 'AuthFailure', 'InvalidParameterValue', 'toString'])(
    '%s is a fault, and one line for the operator',
    name => {
      const { meant, lines } = told(error(name, 400))
      expect(meant).toBeInstanceOf(CloudFault)
      expect(meant.message).not.toContain('in detail')
      expect(lines).toEqual([`EC2 refused to start a machine: ${name}: in detail`])
    },
  )

  it('stays what it was once it is known', () => {
    const fault = new CloudFault('x')
    expect(told(fault).meant).toBe(fault)
  })

  it('is told of a machine that ended by itself, too', () => {
    expect(ending({ Code: 'Server.InsufficientInstanceCapacity', Message: 'm' })).toMatch(/^AWS has no machine/)
    expect(ending({ Code: 'Client.UserInitiatedShutdown', Message: 'User initiated' })).toBe(
      'AWS ended the machine: User initiated',
    )
    expect(ending(undefined)).toBe('AWS ended the machine.')
  })
})

describe('what EC2 needs to be told by the environment', () => {
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
  ])('%j is told in one line', (wrong, line) => {
    expect(() => ec2Machines({ ...good, ...wrong })(parts)).toThrow(line)
  })
})

describe('the functions on AWS', () => {
  const settings = (compute?: string) =>
    AwsSettings.parse({
      ...namesOf('dev'),
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
  const of = { name: 'server-i1-1', instance: 'i1', project: 'p1', generation: 1 }

  it('use EC2 where they are told to and carry it; the others change nothing; without a word it is a host daemon', async () => {
    expect(awsPlatform(settings('ec2'), ec2Machines(environment)).compute.survey).toBeDefined()
    const reader = awsPlatform(settings('ec2')).compute
    expect(reader.survey).toBeUndefined()
    await expect(reader.deleteServer(of)).rejects.toThrow('by the taskmanager')
    const asked: string[] = []
    const host = awsPlatform(settings(), () => {
      asked.push('machines')
      throw new Error('not asked for')
    })
    expect(host.compute.survey).toBeUndefined()
    expect(asked).toEqual([])
  })
})
