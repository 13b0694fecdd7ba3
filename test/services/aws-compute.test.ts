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
import { enrol } from '../../lib/conductor/enrol.ts'
import { pollMachines } from '../../lib/conductor/poll-machines.ts'
import { requestAccess } from '../../lib/instances/verbs/access.ts'
import { CreateBody, requestCreate } from '../../lib/instances/verbs/create.ts'
import { requestReboot } from '../../lib/instances/verbs/reboot.ts'
import { requestRebuild } from '../../lib/instances/verbs/rebuild.ts'
import { requestResizeFlavor } from '../../lib/instances/verbs/resize-flavor.ts'
import { requestResizeVolume } from '../../lib/instances/verbs/resize-volume.ts'
import { requestUpgrade } from '../../lib/instances/verbs/upgrade.ts'
import type { Log } from '../../lib/kit/clock.ts'
import type { Call } from '../../lib/kit/http/route.ts'
import { isBusyOrBroken } from '../../lib/model/instance.ts'
import { statusOf } from '../../lib/model/instance-status.ts'
import { ec2Compute } from '../../lib/platform/compute/ec2/compute.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { sqliteStore } from '../../lib/platform/store/sqlite/store.ts'
import { computeCases } from '../cases/compute.ts'
import { silentLog } from '../kit/random.ts'
import { virtualClock } from '../kit/virtual-clock.ts'
import { deleteInstance, PROJECT, theInstance, usedQuota } from '../laws/scenarios.ts'
import { perform } from '../sim/perform.ts'
import { World } from '../sim/world.ts'
import { listMachines, syncAgents, tagOf, userDataOf } from './ec2-machines.ts'
import { type Failure, type Moto, startMoto } from './moto.ts'

let aws: Moto
let worlds = 0
beforeAll(async () => {
  aws = await startMoto()
})
afterEach(() => aws.clearFailures())
afterAll(() => aws?.stop())

/** The error messages in the log. */
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

/** Everything that a deployment has at AWS. */
async function partsOf(deployment: string) {
  const { client } = aws
  const Filters = [{ Name: 'tag:coffer-stage', Values: [deployment] }]
  const { Volumes = [] } = await client.send(new DescribeVolumesCommand({ Filters }))
  const { SecurityGroups: groups = [] } = await client.send(new DescribeSecurityGroupsCommand({ Filters }))
  const { Addresses: addresses = [] } = await client.send(new DescribeAddressesCommand({ Filters }))
  const servers = (await listMachines(aws)).filter(machine => tagOf(machine, 'coffer-stage') === deployment)
  return {
    servers: servers.filter(({ State }) => State?.Name !== 'terminated'),
    // The root disks of machines have no name.
    volumes: Volumes.filter(volume => tagOf(volume, 'coffer-name') !== ''),
    groups,
    addresses,
  }
}
const countParts = async (deployment: string) =>
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
async function openWorld() {
  const deployment = `world-${++worlds}`
  const world = await new World(worlds, { compute: parts => ec2Compute(optionsOf(parts, deployment)) }).open()
  let handledCalls = 0
  const until = (what: string, isDone: () => Promise<boolean>) =>
    world.until(
      what,
      async () => {
        // Only calls change anything there.
        if (aws.calls.length !== handledCalls) await syncAgents(aws, world)
        handledCalls = aws.calls.length
        return isDone()
      },
      600_000,
    )
  const isIdle = async () => {
    const instance = await theInstance(world)
    return instance !== undefined && !isBusyOrBroken(instance)
  }
  return {
    world,
    deployment,
    until,
    instance: async () => (await theInstance(world))!,
    untilEnded: () => until('end', async () => (await theInstance(world))?.operation === undefined),
    /** Waits until the instance is idle and its database serves. */
    untilHealthy: () =>
      until('instance', async () => (await isIdle()) && (await theInstance(world))?.agentReport?.status === 'healthy'),
    async deleteAndWait() {
      await deleteInstance(world.platform)
      await until('end of the instance', async () => (await theInstance(world)) === undefined)
    },
  }
}

function call<B>({ platform }: World, body: B, id = ''): Call<B, Platform> {
  const caller = { project: PROJECT, user: 'u1', admin: true, requestId: 'req-1', baseUrl: 'http://localhost' }
  return { ...caller, deps: platform, method: 'POST', params: { id }, query: {}, body, log: silentLog }
}

const BODY = {
  name: 'shop',
  flavorRef: 1,
  volume: { size: 2 },
  databases: [{ name: 'cart' }],
  datastore: { type: 'postgresql', version: '18.3' },
}
const create = (world: World, fields: object = {}) =>
  perform(world.platform, () => requestCreate(call(world, CreateBody.parse({ instance: { ...BODY, ...fields } }))))

const NONE = { servers: 0, volumes: 0, groups: 0, addresses: 0 }
const ingress = ({ groups: [group] }: Awaited<ReturnType<typeof partsOf>>) =>
  (group?.IpPermissions ?? []).map(({ FromPort, ToPort, IpRanges = [] }) => ({
    ports: [FromPort, ToPort],
    networks: IpRanges.map(({ CidrIp }) => CidrIp),
  }))

describe('an instance on EC2', () => {
  it('has its own machine, encrypted volume and security group, which are deleted with it', async () => {
    const { world, deployment, untilHealthy, deleteAndWait, instance } = await openWorld()
    await create(world)
    await untilHealthy()
    const { id, server } = await instance()
    const parts = await partsOf(deployment)
    const [machine] = parts.servers
    expect(machine).toMatchObject({
      InstanceType: 't4g.nano',
      ImageId: aws.image,
      MetadataOptions: { HttpTokens: 'required', HttpPutResponseHopLimit: 1, HttpEndpoint: 'enabled' },
    })
    expect(tagOf(machine!, 'coffer-instance')).toBe(id)
    expect(machine!.IamInstanceProfile).toBeUndefined()
    expect(parts.volumes).toMatchObject([{ Size: 2, VolumeType: 'gp3', Encrypted: true, State: 'in-use' }])
    expect(parts.volumes[0]?.AvailabilityZone).toBe(machine!.Placement?.AvailabilityZone)
    expect(parts.volumes[0]?.Attachments).toMatchObject([{ InstanceId: machine!.InstanceId, Device: '/dev/sdf' }])
    // Private without allowed networks: reachable from its own network.
    expect(ingress(parts)).toEqual([{ ports: [5432, 5432], networks: ['172.31.0.0/16'] }])
    const [network] = machine!.NetworkInterfaces ?? []
    expect(network?.Groups?.map(({ GroupId }) => GroupId)).toEqual([parts.groups[0]?.GroupId])
    expect(server?.addresses).toEqual([{ address: machine!.PrivateIpAddress, port: 5432, type: 'private' }])
    await deleteAndWait()
    expect(await countParts(deployment)).toEqual(NONE)
    expect(await usedQuota(world)).toMatchObject({ instances: 0, ram: 0, volumes: 0 })
  })

  it('gets the one-time enrolment of its agent by user-data', async () => {
    const { world, deployment, until, deleteAndWait, instance } = await openWorld()
    await create(world, { access: { is_public: true } })
    const findServer = async () => (await partsOf(deployment)).servers[0]
    await world.until('machine', async () => (await findServer()) !== undefined)
    const { machine, agentUrl } = await userDataOf(aws, (await findServer())?.InstanceId ?? '')
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
    const names = new X509Certificate(tls!.certificate).subjectAltName
    expect(names).toContain((await findServer())?.PrivateIpAddress)
    expect(names).toContain(address?.PublicIp)
    await until('instance', async () => statusOf(await instance()) === 'ACTIVE')
    await expect(enrol(world.platform, request)).rejects.toThrow('not valid')
    await deleteAndWait()
  })

  it('can be resized, upgraded, opened to networks, rebooted and rebuilt', async () => {
    const { world, deployment, untilHealthy, deleteAndWait, instance } = await openWorld()
    await create(world)
    await untilHealthy()
    const { id } = await instance()
    const [first] = (await partsOf(deployment)).servers

    await perform(world.platform, () => requestResizeVolume(call(world, { volume: { size: 5 } }, id)))
    await untilHealthy()
    expect((await partsOf(deployment)).volumes).toMatchObject([{ Size: 5, State: 'in-use' }])

    await perform(world.platform, () => requestResizeFlavor(call(world, { flavorRef: 3 }, id)))
    await untilHealthy()
    expect((await partsOf(deployment)).servers).toMatchObject([
      { InstanceId: first?.InstanceId, InstanceType: 't4g.small', State: { Name: 'running' } },
    ])

    await perform(world.platform, () => requestUpgrade(call(world, { version: '18' }, id)))
    await untilHealthy()
    expect(tagOf((await partsOf(deployment)).servers[0]!, 'coffer-engine')).toBe('18')

    const access = { is_public: true, allowed_cidrs: ['10.1.2.3', '192.0.2.77/24'] }
    await perform(world.platform, () => requestAccess(call(world, { access }, id)))
    await untilHealthy()
    const publicParts = await partsOf(deployment)
    expect(ingress(publicParts)).toEqual([{ ports: [5432, 5432], networks: ['10.1.2.3/32', '192.0.2.0/24'] }])
    expect(publicParts.addresses).toMatchObject([{ InstanceId: first?.InstanceId }])
    expect((await instance()).server?.addresses?.map(({ type }) => type)).toEqual(['private', 'public'])
    await perform(world.platform, () =>
      requestAccess(call(world, { access: { is_public: false, allowed_cidrs: [] } }, id)),
    )
    await untilHealthy()
    const privateParts = await partsOf(deployment)
    expect(ingress(privateParts)).toEqual([{ ports: [5432, 5432], networks: ['172.31.0.0/16'] }])
    expect(privateParts.addresses).toEqual([])
    expect((await instance()).server?.addresses?.map(({ type }) => type)).toEqual(['private'])

    const before = aws.calls.length
    await perform(world.platform, () => requestReboot(call(world, {}, id)))
    await untilHealthy()
    expect(aws.calls.slice(before).filter(name => /^(Stop|Start)Instances$/.test(name))).toEqual([
      'StopInstances',
      'StartInstances',
    ])

    await perform(world.platform, () => requestRebuild(call(world, {}, id)))
    await untilHealthy()
    const rebuilt = await partsOf(deployment)
    expect(rebuilt.servers).toHaveLength(1)
    expect(rebuilt.servers[0]?.InstanceId).not.toBe(first?.InstanceId)
    expect(rebuilt.volumes).toMatchObject([
      { VolumeId: privateParts.volumes[0]?.VolumeId, Attachments: [{ InstanceId: rebuilt.servers[0]?.InstanceId }] },
    ])
    expect(rebuilt.groups).toHaveLength(1)
    expect((await instance()).fault).toBeUndefined()
    await deleteAndWait()
    expect(await countParts(deployment)).toEqual(NONE)
  })
})

/** The SDK tries each call three times: after so many losses, the step has to call again. */
const LOST = 3
const CREATING = ['CreateVolume', 'CreateSecurityGroup', 'AuthorizeSecurityGroupIngress', 'AllocateAddress']
const LAUNCHING = ['AssociateAddress', 'RunInstances', 'AttachVolume']
const REMOVING = ['TerminateInstances', 'DisassociateAddress', 'ReleaseAddress', 'DeleteSecurityGroup', 'DeleteVolume']

describe('a call whose answer is lost:', () => {
  it.each([...CREATING, ...LAUNCHING])('%s creates nothing twice', async action => {
    const { world, deployment, untilHealthy, deleteAndWait } = await openWorld()
    aws.fail({ action, times: LOST, how: 'lost' })
    await create(world, { access: { is_public: true, allowed_cidrs: ['10.0.0.0/8'] } })
    await untilHealthy()
    expect(await countParts(deployment)).toEqual({ servers: 1, volumes: 1, groups: 1, addresses: 1 })
    expect(ingress(await partsOf(deployment))).toEqual([{ ports: [5432, 5432], networks: ['10.0.0.0/8'] }])
    await deleteAndWait()
    expect(await countParts(deployment)).toEqual(NONE)
  })

  it.each(REMOVING)('%s leaves nothing', async action => {
    const { world, deployment, untilHealthy, deleteAndWait } = await openWorld()
    await create(world, { access: { is_public: true } })
    await untilHealthy()
    aws.fail({ action, times: LOST, how: 'lost' })
    await deleteAndWait()
    expect(await countParts(deployment)).toEqual(NONE)
  })

  it.each([
    ['StopInstances', 'resize'],
    ['ModifyInstanceAttribute', 'resize'],
    ['StartInstances', 'resize'],
    ['CreateTags', 'upgrade'],
    ['ModifyVolume', 'grow'],
  ])('%s takes effect all the same', async (action, what) => {
    const { world, deployment, untilHealthy, deleteAndWait, instance } = await openWorld()
    await create(world)
    await untilHealthy()
    const { id } = await instance()
    aws.fail({ action, times: LOST, how: 'lost' })
    if (what === 'resize') await perform(world.platform, () => requestResizeFlavor(call(world, { flavorRef: 2 }, id)))
    if (what === 'upgrade') await perform(world.platform, () => requestUpgrade(call(world, { version: '18' }, id)))
    if (what === 'grow')
      await perform(world.platform, () => requestResizeVolume(call(world, { volume: { size: 4 } }, id)))
    await untilHealthy()
    const { flavor, volume, datastore, fault } = await instance()
    expect([flavor === '2', volume.sizeGb === 4, datastore.versionName === '18', fault]).toEqual([
      what === 'resize',
      what === 'grow',
      what === 'upgrade',
      undefined,
    ])
    expect((await partsOf(deployment)).servers).toMatchObject([{ State: { Name: 'running' } }])
    await deleteAndWait()
    expect(await countParts(deployment)).toEqual(NONE)
  })
})

describe('a created part that AWS does not list yet:', () => {
  /** Starts a create whose call was done without an answer, and what it created is not listed for a while. */
  async function startUnlisted(action: string) {
    const opened = await openWorld()
    const { world, deployment } = opened
    const creatingCall = action === 'DescribeVolumes' ? 'CreateVolume' : 'RunInstances'
    aws.fail({ action: creatingCall, times: LOST, how: 'lost' })
    const before = aws.calls.length
    await create(world, { access: { is_public: true } })
    const calls = () => aws.calls.slice(before).filter(name => name === creatingCall)
    await world.until('call', async () => calls().length === LOST)
    expect(await countParts(deployment)).toMatchObject(action === 'DescribeVolumes' ? { volumes: 1 } : { servers: 1 })
    aws.fail({ action, times: 3, how: 'unseen' })
    return opened
  }

  it.each(['DescribeInstances', 'DescribeVolumes'])('%s: the repeated step creates nothing twice', async action => {
    const { deployment, untilHealthy, deleteAndWait } = await startUnlisted(action)
    await untilHealthy()
    expect(await countParts(deployment)).toEqual({ servers: 1, volumes: 1, groups: 1, addresses: 1 })
    await deleteAndWait()
    expect(await countParts(deployment)).toEqual(NONE)
  })

  it.each(['DescribeInstances', 'DescribeVolumes'])('%s: an immediate delete leaves nothing', async action => {
    const { deployment, deleteAndWait } = await startUnlisted(action)
    await deleteAndWait()
    expect(await countParts(deployment)).toEqual(NONE)
  })
})

describe('a crash of the control plane before or after an effect', () => {
  it('creates the instance once and leaves nothing, whichever effect it was', async () => {
    let effects = 0
    for (let effect = 1; effect === 1 || effect <= effects; effect += 3) {
      const { world, deployment, until, untilHealthy, deleteAndWait } = await openWorld()
      world.crashAt({ effect, when: effect % 2 === 0 ? 'before' : 'after' })
      await world.request(() => create(world, { access: { is_public: true } }))
      if (!(await theInstance(world))) await create(world, { access: { is_public: true } })
      await untilHealthy()
      expect([effect, await countParts(deployment)]).toEqual([
        effect,
        { servers: 1, volumes: 1, groups: 1, addresses: 1 },
      ])
      await world.request(() => deleteInstance(world.platform))
      if ((await theInstance(world))?.operation?.name !== 'delete_instance') await deleteInstance(world.platform)
      await until('end of the instance', async () => (await theInstance(world)) === undefined)
      expect([effect, await countParts(deployment)]).toEqual([effect, NONE])
      await deleteAndWait()
      effects = Math.max(effects, world.effects)
    }
    expect(effects).toBeGreaterThan(40)
  }, 240_000)
})

describe('a refusal by AWS', () => {
  const busy: Failure['how'][] = [
    { code: 'RequestLimitExceeded', status: 503 },
    { code: 'InternalError', status: 500 },
  ]
  it.each(busy)('is followed by another try for %j', async how => {
    const { world, untilHealthy, deleteAndWait } = await openWorld()
    for (const action of ['RunInstances', 'CreateVolume', 'DescribeInstances']) aws.fail({ action, times: LOST, how })
    await create(world)
    await untilHealthy()
    await deleteAndWait()
  })

  it.each([
    ['RunInstances', 'InsufficientInstanceCapacity', 500, 'AWS has no machine of this size free now'],
    ['RunInstances', 'VcpuLimitExceeded', 400, 'AWS lets this Coffer have no more processors'],
    ['CreateVolume', 'VolumeLimitExceeded', 400, 'AWS lets this Coffer have no more volumes'],
    ['AllocateAddress', 'AddressLimitExceeded', 400, 'AWS lets this Coffer have no more public addresses'],
    ['RunInstances', 'UnauthorizedOperation', 403, 'AWS refused to start a machine (UnauthorizedOperation)'],
  ])('of %s with %s becomes the fault of the instance and leaves nothing', async (action, code, status, message) => {
    const { world, deployment, untilEnded, deleteAndWait, instance } = await openWorld()
    lines.length = 0
    aws.fail({ action, times: LOST, how: { code, status } })
    await create(world, { access: { is_public: true } })
    await untilEnded()
    expect(statusOf(await instance())).toBe('ERROR')
    expect((await instance()).fault?.message).toContain(message)
    expect(await countParts(deployment)).toEqual(NONE)
    expect(await usedQuota(world)).toMatchObject({ ram: 0, volumes: 0 })
    expect(lines).toEqual(
      code === 'UnauthorizedOperation' ? [`EC2 refused to start a machine: ${code}: as requested`] : [],
    )
    await deleteAndWait()
  })

  it('is logged in one line for an image that does not exist', async () => {
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
    expect(await countParts(deployment)).toEqual(NONE)
  })

  it('leaves the instance unchanged if the new flavor has no capacity', async () => {
    const { world, deployment, untilHealthy, deleteAndWait, instance } = await openWorld()
    await create(world)
    await untilHealthy()
    aws.fail({ action: 'StartInstances', times: LOST, how: { code: 'InsufficientInstanceCapacity', status: 500 } })
    const { id } = await instance()
    await perform(world.platform, () => requestResizeFlavor(call(world, { flavorRef: 5 }, id)))
    await untilHealthy()
    expect(await instance()).toMatchObject({ flavor: '1', fault: { message: expect.stringContaining('no machine') } })
    expect((await partsOf(deployment)).servers).toMatchObject([
      { InstanceType: 't4g.nano', State: { Name: 'running' } },
    ])
    await deleteAndWait()
  })
})

describe('a machine that is stopped, started and terminated outside Coffer', () => {
  it('is shown as SHUTDOWN, ACTIVE and ERROR', async () => {
    const { world, deployment, untilHealthy, deleteAndWait, instance } = await openWorld()
    await create(world)
    await untilHealthy()
    const [machine] = (await partsOf(deployment)).servers
    const InstanceIds = [machine?.InstanceId ?? '']
    const statusNow = async () => {
      await pollMachines(world.platform)
      return statusOf(await instance())
    }
    expect(await statusNow()).toBe('ACTIVE')
    await aws.client.send(new StopInstancesCommand({ InstanceIds }))
    expect(await statusNow()).toBe('SHUTDOWN')
    expect(await statusNow()).toBe('SHUTDOWN')
    await aws.client.send(new StartInstancesCommand({ InstanceIds }))
    expect(await statusNow()).toBe('ACTIVE')
    await aws.client.send(new TerminateInstancesCommand({ InstanceIds }))
    expect(await statusNow()).toBe('ERROR')
    expect((await instance()).fault?.message).toMatch(/^AWS ended the machine/)
    await deleteAndWait()
    expect(await countParts(deployment)).toEqual(NONE)
    await pollMachines(world.platform)
  })
})

// Last: by now the tests above have made every call.
describe('the permissions of the functions', () => {
  const [, taskmanager = '', periodic = ''] = readFileSync(
    join(import.meta.dirname, '..', '..', 'deploy', 'compute.yml'),
    'utf8',
  ).split(/^ {2}\w+Machines:$/m)
  const granted = (text: string) => [...new Set([...text.matchAll(/ec2:([A-Z]\w+)/g)].map(([, name]) => name))]

  it('are exactly those for the calls that are made', () => {
    const called = new Set(aws.calls)
    // In a condition, not a grant: tags are set when a part is created.
    const mentioned = ['CreateAction']
    expect(
      granted(taskmanager)
        .filter(name => !mentioned.includes(`${name}`))
        .sort(),
    ).toEqual([...called].sort())
    expect(granted(periodic)).toEqual(['DescribeInstances'])
  })
})
