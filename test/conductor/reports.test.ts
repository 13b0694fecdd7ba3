import { beforeEach, describe, expect, it } from '@jest/globals'
import { guestClient } from '../../lib/agents/agent.ts'
import { handleMachineState, receiveMessage } from '../../lib/conductor/reports.ts'
import { CONDUCTOR_TOPIC, guestSubject, hostSubject } from '../../lib/contracts/conductor.ts'
import { detail } from '../../lib/instances/view.ts'
import { derivedKeys } from '../../lib/kit/crypto/keys.ts'
import { BadSeal, derivedSealKeys, readEnvelope, type Sealer, sealer } from '../../lib/kit/crypto/seal.ts'
import { BadMessage } from '../../lib/kit/rpc/contract.ts'
import { adminDetail } from '../../lib/mgmt/view.ts'
import { HOSTS_PROJECT, hosts } from '../../lib/model/host.ts'
import { type Instance, instances, serverOf } from '../../lib/model/instance.ts'
import type { MachineState } from '../../lib/ports/compute.ts'
import { seededRandom } from '../kit/random.ts'
import { secretsOf } from '../kit/secrets.ts'
import { PROJECT, scenarios, theInstance } from '../laws/scenarios.ts'
import { hostReport } from '../sim/hosts.ts'
import { SIM_DATASTORES, World } from '../sim/world.ts'

describe('receiveMessage', () => {
  let world: World
  let instance: string
  beforeEach(() => openWorld(true))

  /** `separateProcesses`: the conductor runs in another process than the caller that waits. */
  async function openWorld(separateProcesses: boolean): Promise<void> {
    world = await new World(1, { separateProcesses }).open()
    await scenarios.create_instance.begin(world.platform)
    await world.until('instance', () => scenarios.create_instance.done(world))
    instance = (await theInstance(world))?.id ?? ''
  }

  const sealAnswer = (from: Sealer) =>
    from.seal(
      {
        subject: guestSubject(instance),
        generation: 1,
        direction: 'up',
        kind: 'answer',
        id: 'question-1',
        expires: world.clock.now() + 60_000,
      },
      { result: 'x'.repeat(200_000) },
    )
  const storedAnswers = async () => (await world.store.all('answer', { limit: 10 })).items

  /** A sealer whose keys are derived from another master key. */
  function strangersSealer(): Sealer {
    const master = { id: 'k1', bytes: seededRandom(8).bytes(32) }
    return sealer(derivedSealKeys(derivedKeys(secretsOf([master]))))
  }

  it('stores a genuine answer, still sealed', async () => {
    const answer = await sealAnswer(world.platform.sealer)
    await receiveMessage(world.platform, answer)
    expect((await storedAnswers()).map(({ body }) => body)).toEqual([{ envelope: answer }])
  })

  it('stores nothing of a forged answer', async () => {
    await expect(receiveMessage(world.platform, await sealAnswer(strangersSealer()))).rejects.toThrow(BadSeal)
    const genuine = await sealAnswer(world.platform.sealer)
    for (const change of [{ id: 'question-2' }, { expires: world.clock.now() + 90_000 }, { kid: 'k2' }]) {
      const forged = JSON.stringify({ ...readEnvelope(genuine), ...change })
      await expect(receiveMessage(world.platform, forged)).rejects.toThrow(BadSeal)
    }
    expect(await storedAnswers()).toEqual([])
    expect(world.writtenKinds.has('answer')).toBe(false)
  })

  it('hands no forged answer to a caller that waits in the same process', async () => {
    await openWorld(false)
    const { platform } = world
    let queryId = ''
    const random = { ...platform.random, uuid: () => (queryId = platform.random.uuid()) }
    const pendingUsers = guestClient(
      { ...platform, random },
      { project: PROJECT, instance, requestId: 'req-2' },
    ).list_users({ limit: 5 })
    let outcome: unknown
    const settle = (value: unknown) => {
      outcome = value
    }
    pendingUsers.then(settle, settle)
    await world.clock.advance(0)
    const forged = { ...readEnvelope(await sealAnswer(strangersSealer())), id: queryId }
    await expect(receiveMessage(platform, JSON.stringify(forged))).rejects.toThrow(BadSeal)
    await world.until('answer', async () => outcome !== undefined, 60_000)
    expect(outcome).toMatchObject({ items: [{ name: 'ann' }] })
  })
})

describe('a report of a machine', () => {
  it('is refused from a host that the instance is not on', async () => {
    const hosts = ['a', 'b'].map(id => ({ id, ramMb: 4_096 }))
    const world = await new World(1, { hosts }).open()
    await scenarios.restart.before(world)
    const instance = (await theInstance(world))!
    expect(instance.host).toBe('a')
    const part = { name: serverOf(instance), project: PROJECT, instance: instance.id }
    const report = async (host: string, method: string) => {
      await world.machines.get(host)?.sendReport(method, { ...part, state: { status: 'ERROR', fault: `from ${host}` } })
      const [message] = await world.queue.receive(CONDUCTOR_TOPIC, { max: 1, waitMs: 0 })
      await receiveMessage(world.platform, message!.body)
    }
    await world.until('an empty queue', async () => world.queue.depth(CONDUCTOR_TOPIC)?.ready === 0)
    for (const method of ['update_server', 'update_volume']) {
      await expect(report('b', method)).rejects.toThrow(BadMessage)
    }
    expect((await theInstance(world))?.fault).toBeUndefined()
    await world.clock.advance(1)
    await report('a', 'update_server')
    expect((await theInstance(world))?.fault?.message).toBe('from a')
  })

  it('about a host is refused from an agent', async () => {
    const world = await new World().open()
    await scenarios.restart.before(world)
    const { id } = (await theInstance(world))!
    const header = {
      subject: guestSubject(id),
      generation: 1,
      direction: 'up',
      kind: 'report',
      id: 'report-1',
    } as const
    const body = await world.platform.sealer.seal(
      { ...header, expires: world.clock.now() + 60_000 },
      { method: 'update_host', input: hostReport(SIM_DATASTORES, 4_096), sequence: 1 },
    )
    await expect(receiveMessage(world.platform, body)).rejects.toThrow('update_host is not allowed for this sender')
  })
})

describe('a report of a machine whose clock is a day behind', () => {
  it('counts: reports are ordered by their numbers', async () => {
    const world = await new World(1, { hosts: [{ id: 'a', ramMb: 4_096 }] }).open()
    const header = { subject: hostSubject('a'), generation: 0, direction: 'up', kind: 'report', id: 'r1' } as const
    const report = { method: 'update_host', input: hostReport(SIM_DATASTORES, 8_192), sequence: 7 }
    const expires = world.clock.now() - 86_400_000
    await receiveMessage(world.platform, await world.platform.sealer.seal({ ...header, expires }, report))
    expect((await hosts.get(world.store, HOSTS_PROJECT, 'a'))?.body).toMatchObject({ ramMb: 8_192, sequence: 7 })
  })
})

describe('onMachineState', () => {
  const MESSAGE = 'The agent of the instance keeps ending.'
  let world: World
  let sequence = 1_000_000
  beforeEach(async () => {
    world = await new World().open()
    await world.request(platform => scenarios.create_instance.begin(platform))
    await world.until('instance', () => scenarios.create_instance.done(world))
    await world.clock.advance(3_600_000)
  })

  async function currentInstance(): Promise<Instance> {
    const instance = await theInstance(world)
    if (!instance) throw new Error('no instance')
    return instance
  }

  /** The host daemon reports the state of the server. Returns the instance afterwards. */
  async function reportServer(state: MachineState): Promise<Instance> {
    const instance = await currentInstance()
    sequence += 1
    await handleMachineState(world.platform, {
      project: PROJECT,
      instance: instance.id,
      name: serverOf(instance),
      state,
      sequence,
    })
    return currentInstance()
  }

  /** An operation fails and leaves this fault. */
  async function leaveFault(message: string, server?: Instance['server']): Promise<NonNullable<Instance['fault']>> {
    const item = await instances.get(world.store, PROJECT, (await currentInstance()).id)
    if (!item) throw new Error('no instance')
    const fault = { message, created: world.clock.now(), details: null }
    await world.store.transact([instances.replace(item, { ...item.body, fault, ...(server && { server }) })])
    return fault
  }

  it('dates a fault by its report, and removes it when the server is ACTIVE again', async () => {
    const failed = await reportServer({ status: 'ERROR', fault: MESSAGE })
    expect(failed.fault).toEqual({ message: MESSAGE, created: world.clock.now(), details: null })
    const recovered = await reportServer({ status: 'ACTIVE' })
    expect([recovered.server?.status, recovered.fault]).toEqual(['ACTIVE', undefined])
    expect(recovered.server?.addresses).toEqual(failed.server?.addresses)
  })

  it('keeps a fault and its time until the server is ACTIVE or reports another fault', async () => {
    const first = await reportServer({ status: 'ERROR', fault: MESSAGE })
    await world.clock.advance(60_000)
    expect((await reportServer({ status: 'ERROR', fault: MESSAGE })).fault).toEqual(first.fault)
    expect((await reportServer({ status: 'ERROR' })).fault).toEqual(first.fault)
    expect((await reportServer({ status: 'SHUTDOWN' })).fault).toEqual(first.fault)
    const other = await reportServer({ status: 'ERROR', fault: 'The machine is gone.' })
    expect(other.fault).toEqual({ message: 'The machine is gone.', created: world.clock.now(), details: null })
    expect((await reportServer({ status: 'ACTIVE' })).fault).toBeUndefined()
    await world.clock.advance(60_000)
    expect((await reportServer({ status: 'ERROR', fault: MESSAGE })).fault?.created).toBe(world.clock.now())
  })

  it('keeps a fault that an operation left, even one with the same message', async () => {
    const fault = await leaveFault('resize failed')
    expect((await reportServer({ status: 'SHUTDOWN' })).fault).toEqual(fault)
    expect((await reportServer({ status: 'ACTIVE' })).fault).toEqual(fault)
    await reportServer({ status: 'ERROR', fault: MESSAGE })
    // At its end an operation writes the server's state too, without a fault there.
    const sameMessage = await leaveFault(MESSAGE, { status: 'ERROR', addresses: [] })
    expect((await reportServer({ status: 'ACTIVE' })).fault).toEqual(sameMessage)
  })

  it("keeps an operation's fault that replaced the server's", async () => {
    await reportServer({ status: 'ERROR', fault: MESSAGE })
    const fault = await leaveFault('rebuild failed')
    expect((await reportServer({ status: 'ACTIVE' })).fault).toEqual(fault)
  })

  it('keeps the fault that an ACTIVE server reports, as after a failed change', async () => {
    const fault = { message: 'no room', created: world.clock.now(), details: null }
    expect((await reportServer({ status: 'ACTIVE', fault: 'no room' })).fault).toEqual(fault)
    expect((await reportServer({ status: 'ACTIVE' })).fault).toEqual(fault)
  })

  it('shows a fault once, on the instance', async () => {
    const instance = await reportServer({ status: 'ERROR', fault: MESSAGE })
    const viewer = { baseUrl: '', project: PROJECT, admin: true, now: world.clock.now(), deps: world.platform }
    const { fault, ...rest } = detail(instance, viewer)
    expect(fault).toMatchObject({ message: MESSAGE, details: null })
    expect(JSON.stringify(adminDetail(instance, rest, undefined))).not.toContain(MESSAGE)
  })
})
