import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  DescribeAddressesCommand,
  DescribeSecurityGroupsCommand,
  DescribeVolumesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { survey } from '../../functions/periodic.ts'
import { enrol } from '../../lib/guests/enrol.ts'
import { requestAccess } from '../../lib/instances/access.ts'
import { requestCreate } from '../../lib/instances/create.ts'
import { CreateBody } from '../../lib/instances/create-body.ts'
import { statusOf } from '../../lib/instances/instance.ts'
import { requestReboot } from '../../lib/instances/reboot.ts'
import { requestRebuild } from '../../lib/instances/rebuild.ts'
import { requestResizeFlavor } from '../../lib/instances/resize-flavor.ts'
import { requestResizeVolume } from '../../lib/instances/resize-volume.ts'
import { requestUpgrade } from '../../lib/instances/upgrade.ts'
import type { Log } from '../../lib/kit/clock.ts'
import type { Call } from '../../lib/kit/http/route.ts'
import { ec2Compute } from '../../lib/platform/compute/ec2/ec2.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite.ts'
import { computeCases } from '../cases/compute.ts'
import { silentLog } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'
import { PROJECT, remove, theInstance, usedQuota } from '../laws/scenarios.ts'
import { World } from '../sim/world.ts'
import { machineSide, machines, tag, userDataOf } from './ec2-machines.ts'
import { type Failure, type Moto, moto } from './moto.ts'

let aws: Moto
let worlds = 0
beforeAll(async () => {
  aws = await moto()
})
afterEach(() => aws.heal())
afterAll(() => aws?.stop())

/** Lines of the log that an operator would read. */
const lines: string[] = []
const log: Log = { ...silentLog, error: (_fields, message) => void lines.push(message) }

function optionsOf({ store, clock }: Pick<Platform, 'store' | 'clock'>, deployment: string) {
  return {
    ...{ store, clock, log, deployment, connection: aws.connection, image: aws.image, subnets: aws.subnets },
    bundle: { base: 'https://coffer-test.s3.eu-central-1.amazonaws.com', key: 'agent/agent.tar.gz' },
    portOf: () => 5432,
    logLevel: 'info',
  }
}

/** All that a deployment has at AWS. */
async function partsOf(deployment: string) {
  const { client } = aws
  const Filters = [{ Name: 'tag:coffer-stage', Values: [deployment] }]
  const { Volumes = [] } = await client.send(new DescribeVolumesCommand({ Filters }))
  const { SecurityGroups: groups = [] } = await client.send(new DescribeSecurityGroupsCommand({ Filters }))
  const { Addresses: addresses = [] } = await client.send(new DescribeAddressesCommand({ Filters }))
  const mine = (await machines(aws)).filter(one => tag(one, 'coffer-stage') === deployment)
  return {
    servers: mine.filter(({ State }) => State?.Name !== 'terminated'),
    // The root disks that go with machines have no name.
    volumes: Volumes.filter(one => tag(one, 'coffer-name') !== ''),
    groups,
    addresses,
  }
}
const counted = async (deployment: string) =>
  Object.fromEntries(Object.entries(await partsOf(deployment)).map(([kind, { length }]) => [kind, length]))

computeCases('EC2 on moto', async () => {
  const deployment = `cases-${++worlds}`
  const clock = virtualClock()
  const compute = ec2Compute(optionsOf({ store: sqliteStore(':memory:', { clock }), clock }, deployment))
  return {
    compute,
    settle: () => clock.advance(5_000),
    async parts() {
      const { servers, volumes } = await partsOf(deployment)
      return { servers: servers.length, volumes: volumes.length }
    },
  }
})

/** A control plane whose instances are machines of EC2. */
async function opened() {
  const deployment = `world-${++worlds}`
  const world = await new World(worlds, { compute: parts => ec2Compute(optionsOf(parts, deployment)) }).open()
  let seen = 0
  const until = (what: string, done: () => Promise<boolean>) =>
    world.until(
      what,
      async () => {
        // Nothing changes there but by a call.
        if (aws.calls.length !== seen) await machineSide(aws, world)
        seen = aws.calls.length
        return done()
      },
      600_000,
    )
  const idle = async () => {
    const instance = await theInstance(world)
    return instance !== undefined && instance.operation === undefined && instance.task === 'NONE'
  }
  return {
    world,
    deployment,
    until,
    instance: async () => (await theInstance(world))!,
    ended: () => until('end', async () => (await theInstance(world))?.operation === undefined),
    /** Serves again after what was asked for. */
    well: () =>
      until('instance', async () => (await idle()) && (await theInstance(world))?.service?.status === 'healthy'),
    async deleted() {
      await remove(world.platform)
      await until('its end', async () => (await theInstance(world)) === undefined)
    },
  }
}

function call<B>({ platform }: World, body: B, id = ''): Call<B, Platform> {
  const known = { project: PROJECT, user: 'u1', admin: true, requestId: 'req-1', base: 'http://localhost' }
  return { ...known, deps: platform, method: 'POST', params: { id }, query: {}, body, log: silentLog }
}

const BODY = {
  name: 'shop',
  flavorRef: 1,
  volume: { size: 2 },
  databases: [{ name: 'cart' }],
  datastore: { type: 'postgresql', version: '18.3' },
}
const create = (world: World, more: object = {}) =>
  requestCreate(call(world, CreateBody.parse({ instance: { ...BODY, ...more } })))

const NONE = { servers: 0, volumes: 0, groups: 0, addresses: 0 }
const ingress = ({ groups: [group] }: Awaited<ReturnType<typeof partsOf>>) =>
  (group?.IpPermissions ?? []).map(({ FromPort, ToPort, IpRanges = [] }) => ({
    ports: [FromPort, ToPort],
    networks: IpRanges.map(({ CidrIp }) => CidrIp),
  }))

describe('an instance on EC2', () => {
  it('is a machine, an encrypted volume and a group of its own, which end with it', async () => {
    const { world, deployment, well, deleted, instance } = await opened()
    await create(world)
    await well()
    const { id, server } = await instance()
    const parts = await partsOf(deployment)
    const [machine] = parts.servers
    expect(machine).toMatchObject({
      InstanceType: 't4g.nano',
      ImageId: aws.image,
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1, HttpEndpoint: 'enabled' },
    })
    expect(tag(machine!, 'coffer-instance')).toBe(id)
    expect(machine!.IamInstanceProfile).toBeUndefined()
    expect(parts.volumes).toMatchObject([{ Size: 2, VolumeType: 'gp3', Encrypted: true, State: 'in-use' }])
    expect(parts.volumes[0]?.AvailabilityZone).toBe(machine!.Placement?.AvailabilityZone)
    expect(parts.volumes[0]?.Attachments).toMatchObject([{ InstanceId: machine!.InstanceId, Device: '/dev/sdf' }])
    // Private, and nobody named: from its own network.
    expect(ingress(parts)).toEqual([{ ports: [5432, 5432], networks: ['172.31.0.0/16'] }])
    const [network] = machine!.NetworkInterfaces ?? []
    expect(network?.Groups?.map(({ GroupId }) => GroupId)).toEqual([parts.groups[0]?.GroupId])
    expect(server?.addresses).toEqual([{ address: machine!.PrivateIpAddress, port: 5432, type: 'private' }])
    await deleted()
    expect(await counted(deployment)).toEqual(NONE)
    expect(await usedQuota(world)).toMatchObject({ instances: 0, ram: 0, volumes: 0 })
  })

  it('is told by its user-data what its agent enrols with, once', async () => {
    const { world, deployment, until, deleted, instance } = await opened()
    await create(world, { access: { is_public: true } })
    const about = async () => (await partsOf(deployment)).servers[0]
    await world.until('machine', async () => (await about()) !== undefined)
    const { machine, agentUrl } = await userDataOf(aws, (await about())?.InstanceId ?? '')
    const { id } = await instance()
    expect(machine).toMatchObject({
      userData: { instance: id, generation: 1, enrolUrl: 'http://127.0.0.1/enrol' },
      datastore: { manager: 'postgresql', version: '18.3' },
      volume: (await partsOf(deployment)).volumes[0]?.VolumeId,
      port: 5432,
    })
    expect(agentUrl).toMatch(/^https:\/\/coffer-test\.s3\.eu-central-1\.amazonaws\.com\/agent\/agent\.tar\.gz\?X-Amz/)
    const { secret, generation } = machine.userData
    const key = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
    const { x = '' } = key
    const tlsKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .publicKey.export({ type: 'spki', format: 'der' })
      .toString('base64')
    const request = { instance: id, generation, secret, publicKey: { kty: 'OKP', crv: 'Ed25519', x }, tlsKey } as const
    const { tls } = await enrol(world.platform, request)
    const [address] = (await partsOf(deployment)).addresses
    const named = new X509Certificate(tls!.certificate).subjectAltName
    expect(named).toContain((await about())?.PrivateIpAddress)
    expect(named).toContain(address?.PublicIp)
    await until('instance', async () => statusOf(await instance()) === 'ACTIVE')
    await expect(enrol(world.platform, request)).rejects.toThrow('not valid')
    await deleted()
  })

  it('grows, changes its size, its engine and its networks, starts again, and gets a new machine', async () => {
    const { world, deployment, well, deleted, instance } = await opened()
    await create(world)
    await well()
    const { id } = await instance()
    const [first] = (await partsOf(deployment)).servers

    await requestResizeVolume(call(world, { size: 5 }, id))
    await well()
    expect((await partsOf(deployment)).volumes).toMatchObject([{ Size: 5, State: 'in-use' }])

    await requestResizeFlavor(call(world, { flavor: 3 }, id))
    await well()
    expect((await partsOf(deployment)).servers).toMatchObject([
      { InstanceId: first?.InstanceId, InstanceType: 't4g.small', State: { Name: 'running' } },
    ])

    await requestUpgrade(call(world, { version: '18' }, id))
    await well()
    expect(tag((await partsOf(deployment)).servers[0]!, 'coffer-engine')).toBe('18')

    const access = { is_public: true, allowed_cidrs: ['10.1.2.3', '192.0.2.77/24'] }
    await requestAccess(call(world, { access }, id))
    await well()
    const open = await partsOf(deployment)
    expect(ingress(open)).toEqual([{ ports: [5432, 5432], networks: ['10.1.2.3/32', '192.0.2.0/24'] }])
    expect(open.addresses).toMatchObject([{ InstanceId: first?.InstanceId }])
    expect((await instance()).server?.addresses?.map(({ type }) => type)).toEqual(['private', 'public'])
    await requestAccess(call(world, { access: { is_public: false, allowed_cidrs: [] } }, id))
    await well()
    const shut = await partsOf(deployment)
    expect(ingress(shut)).toEqual([{ ports: [5432, 5432], networks: ['172.31.0.0/16'] }])
    expect(shut.addresses).toEqual([])
    expect((await instance()).server?.addresses?.map(({ type }) => type)).toEqual(['private'])

    const before = aws.calls.length
    await requestReboot(call(world, {}, id))
    await well()
    expect(aws.calls.slice(before).filter(name => /^(Stop|Start)Instances$/.test(name))).toEqual([
      'StopInstances',
      'StartInstances',
    ])

    await requestRebuild(call(world, {}, id))
    await well()
    const rebuilt = await partsOf(deployment)
    expect(rebuilt.servers).toHaveLength(1)
    expect(rebuilt.servers[0]?.InstanceId).not.toBe(first?.InstanceId)
    expect(rebuilt.volumes).toMatchObject([
      { VolumeId: shut.volumes[0]?.VolumeId, Attachments: [{ InstanceId: rebuilt.servers[0]?.InstanceId }] },
    ])
    expect(rebuilt.groups).toHaveLength(1)
    expect((await instance()).fault).toBeUndefined()
    await deleted()
    expect(await counted(deployment)).toEqual(NONE)
  })
})

/** The SDK tries each call three times: with so many lost, the saga has to ask again. */
const LOST = 3
const MAKING = ['CreateVolume', 'CreateSecurityGroup', 'AuthorizeSecurityGroupIngress', 'AllocateAddress']
const MORE = ['AssociateAddress', 'RunInstances', 'AttachVolume']
const REMOVING = ['TerminateInstances', 'DisassociateAddress', 'ReleaseAddress', 'DeleteSecurityGroup', 'DeleteVolume']

describe('when a call was carried out and nobody heard of it', () => {
  it.each([...MAKING, ...MORE])('%s makes nothing twice', async action => {
    const { world, deployment, well, deleted } = await opened()
    aws.fail({ action, times: LOST, how: 'lost' })
    await create(world, { access: { is_public: true, allowed_cidrs: ['10.0.0.0/8'] } })
    await well()
    expect(await counted(deployment)).toEqual({ servers: 1, volumes: 1, groups: 1, addresses: 1 })
    expect(ingress(await partsOf(deployment))).toEqual([{ ports: [5432, 5432], networks: ['10.0.0.0/8'] }])
    await deleted()
    expect(await counted(deployment)).toEqual(NONE)
  })

  it.each(REMOVING)('%s leaves nothing', async action => {
    const { world, deployment, well, deleted } = await opened()
    await create(world, { access: { is_public: true } })
    await well()
    aws.fail({ action, times: LOST, how: 'lost' })
    await deleted()
    expect(await counted(deployment)).toEqual(NONE)
  })

  it.each([
    ['StopInstances', 'resize'],
    ['ModifyInstanceAttribute', 'resize'],
    ['StartInstances', 'resize'],
    ['CreateTags', 'upgrade'],
    ['ModifyVolume', 'grow'],
  ])('%s is done all the same', async (action, what) => {
    const { world, deployment, well, deleted, instance } = await opened()
    await create(world)
    await well()
    const { id } = await instance()
    aws.fail({ action, times: LOST, how: 'lost' })
    if (what === 'resize') await requestResizeFlavor(call(world, { flavor: 2 }, id))
    if (what === 'upgrade') await requestUpgrade(call(world, { version: '18' }, id))
    if (what === 'grow') await requestResizeVolume(call(world, { size: 4 }, id))
    await well()
    const { flavor, volume, datastore, fault } = await instance()
    expect([flavor === '2', volume.sizeGb === 4, datastore.versionName === '18', fault]).toEqual([
      what === 'resize',
      what === 'grow',
      what === 'upgrade',
      undefined,
    ])
    expect((await partsOf(deployment)).servers).toMatchObject([{ State: { Name: 'running' } }])
    await deleted()
    expect(await counted(deployment)).toEqual(NONE)
  })
})

describe('when AWS does not show yet what was made', () => {
  /** The call was carried out, nobody heard of it, and for a while nobody sees what it made. */
  async function unseen(action: string) {
    const opening = await opened()
    const { world, deployment } = opening
    const made = action === 'DescribeVolumes' ? 'CreateVolume' : 'RunInstances'
    aws.fail({ action: made, times: LOST, how: 'lost' })
    const before = aws.calls.length
    await create(world, { access: { is_public: true } })
    const calls = () => aws.calls.slice(before).filter(name => name === made)
    await world.until('call', async () => calls().length === LOST)
    expect(await counted(deployment)).toMatchObject(action === 'DescribeVolumes' ? { volumes: 1 } : { servers: 1 })
    aws.fail({ action, times: 3, how: 'unseen' })
    return opening
  }

  it.each(['DescribeInstances', 'DescribeVolumes'])('%s: the step, done again, makes nothing twice', async action => {
    const { deployment, well, deleted } = await unseen(action)
    await well()
    expect(await counted(deployment)).toEqual({ servers: 1, volumes: 1, groups: 1, addresses: 1 })
    await deleted()
    expect(await counted(deployment)).toEqual(NONE)
  })

  it.each(['DescribeInstances', 'DescribeVolumes'])('%s: a delete right after it leaves nothing', async action => {
    const { deployment, deleted } = await unseen(action)
    await deleted()
    expect(await counted(deployment)).toEqual(NONE)
  })
})

describe('when the control plane dies', () => {
  it('before or after any of its effects, an instance is made once, and leaves nothing', async () => {
    let effects = 0
    for (let effect = 1; effect === 1 || effect <= effects; effect += 3) {
      const { world, deployment, until, well, deleted } = await opened()
      world.crashAt({ effect, when: effect % 2 === 0 ? 'before' : 'after' })
      await world.request(() => create(world, { access: { is_public: true } }))
      if (!(await theInstance(world))) await create(world, { access: { is_public: true } })
      await well()
      expect([effect, await counted(deployment)]).toEqual([effect, { servers: 1, volumes: 1, groups: 1, addresses: 1 }])
      await world.request(() => remove(world.platform))
      if ((await theInstance(world))?.task !== 'DELETING') await remove(world.platform)
      await until('its end', async () => (await theInstance(world)) === undefined)
      expect([effect, await counted(deployment)]).toEqual([effect, NONE])
      await deleted()
      effects = Math.max(effects, world.effects)
    }
    expect(effects).toBeGreaterThan(40)
  }, 240_000)
})

describe('when AWS says no', () => {
  const busy: Failure['how'][] = [
    { code: 'RequestLimitExceeded', status: 503 },
    { code: 'InternalError', status: 500 },
  ]
  it.each(busy)('it is tried again later: %j', async how => {
    const { world, well, deleted } = await opened()
    for (const action of ['RunInstances', 'CreateVolume', 'DescribeInstances']) aws.fail({ action, times: LOST, how })
    await create(world)
    await well()
    await deleted()
  })

  it.each([
    ['RunInstances', 'InsufficientInstanceCapacity', 500, 'AWS has no machine of this size free now'],
    ['RunInstances', 'VcpuLimitExceeded', 400, 'AWS lets this Coffer have no more processors'],
    ['CreateVolume', 'VolumeLimitExceeded', 400, 'AWS lets this Coffer have no more volumes'],
    ['AllocateAddress', 'AddressLimitExceeded', 400, 'AWS lets this Coffer have no more public addresses'],
    ['RunInstances', 'UnauthorizedOperation', 403, 'AWS refused to start a machine (UnauthorizedOperation)'],
  ])('%s: %s becomes the fault of the instance, and leaves nothing', async (action, code, status, message) => {
    const { world, deployment, ended, deleted, instance } = await opened()
    lines.length = 0
    aws.fail({ action, times: LOST, how: { code, status } })
    await create(world, { access: { is_public: true } })
    await ended()
    expect(statusOf(await instance())).toBe('ERROR')
    expect((await instance()).fault?.message).toContain(message)
    expect(await counted(deployment)).toEqual(NONE)
    expect(await usedQuota(world)).toMatchObject({ ram: 0, volumes: 0 })
    expect(lines).toEqual(code === 'UnauthorizedOperation' ? [`EC2 refused to start a machine: ${code}: told so`] : [])
    await deleted()
  })

  it('it tells of an image that is not there in one line', async () => {
    const deployment = `world-${++worlds}`
    const compute = (parts: Pick<Platform, 'store' | 'clock'>) =>
      ec2Compute({ ...optionsOf(parts, deployment), image: 'ami-00000000' })
    const world = await new World(worlds, { compute }).open()
    lines.length = 0
    await create(world)
    await world.until('end', async () => (await theInstance(world))?.operation === undefined)
    expect(lines).toEqual([
      expect.stringMatching(/^EC2 refused to find its image: InvalidAMIID\.NotFound: .*ami-00000000/),
    ])
    expect((await theInstance(world))?.fault?.message).toMatch(/^The machine could not be made: .*InvalidAMIID/)
    expect(await counted(deployment)).toEqual(NONE)
  })

  it('a larger size that it has no room for leaves the instance as it was', async () => {
    const { world, deployment, well, deleted, instance } = await opened()
    await create(world)
    await well()
    aws.fail({ action: 'StartInstances', times: LOST, how: { code: 'InsufficientInstanceCapacity', status: 500 } })
    await requestResizeFlavor(call(world, { flavor: 5 }, (await instance()).id))
    await well()
    expect(await instance()).toMatchObject({ flavor: '1', fault: { message: expect.stringContaining('no machine') } })
    expect((await partsOf(deployment)).servers).toMatchObject([
      { InstanceType: 't4g.nano', State: { Name: 'running' } },
    ])
    await deleted()
  })
})

describe('what becomes of machines by itself', () => {
  it('is found by the survey: stopped, running again, ended', async () => {
    const { world, deployment, well, deleted, instance } = await opened()
    await create(world)
    await well()
    const [machine] = (await partsOf(deployment)).servers
    const InstanceIds = [machine?.InstanceId ?? '']
    const word = async () => {
      await survey(world.platform)
      return statusOf(await instance())
    }
    expect(await word()).toBe('ACTIVE')
    await aws.client.send(new StopInstancesCommand({ InstanceIds }))
    expect(await word()).toBe('SHUTDOWN')
    expect(await word()).toBe('SHUTDOWN')
    await aws.client.send(new StartInstancesCommand({ InstanceIds }))
    expect(await word()).toBe('ACTIVE')
    await aws.client.send(new TerminateInstancesCommand({ InstanceIds }))
    expect(await word()).toBe('ERROR')
    expect((await instance()).fault?.message).toMatch(/^AWS ended the machine/)
    await deleted()
    expect(await counted(deployment)).toEqual(NONE)
    await survey(world.platform)
  })
})

// Last of all: by now every call was made.
describe('the rights of the functions', () => {
  const [, taskmanager = '', periodic = ''] = readFileSync(
    join(import.meta.dirname, '..', '..', 'deploy', 'compute.yml'),
    'utf8',
  ).split(/^ {2}\w+Machines:$/m)
  const granted = (text: string) => [...new Set([...text.matchAll(/ec2:([A-Z]\w+)/g)].map(([, name]) => name))]

  it('are those for the calls that are made, and no others', () => {
    const called = new Set(aws.calls)
    // Said in a condition, not granted; tags are given with what makes a part.
    const mentioned = ['CreateAction']
    expect(
      granted(taskmanager)
        .filter(name => !mentioned.includes(`${name}`))
        .sort(),
    ).toEqual([...called].sort())
    expect(granted(periodic)).toEqual(['DescribeInstances'])
  })
})
