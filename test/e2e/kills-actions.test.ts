import { beforeAll, describe, expect, it } from '@jest/globals'
import type pg from 'pg'
import { waitUntilClean } from './assert-clean.ts'
import { CART, ownCloud } from './cloud.ts'
import { type Answer, deleteInstance, requestInstance, until, waitUntilActive } from './coffer.ts'
import {
  connect,
  databasePids,
  hostPid,
  type Instance,
  killAndRestart,
  RECOVERY_MS,
  sendSignal,
  VICTIMS,
  waitForStep,
} from './fault-injection.ts'
import { freezeDatabase } from './freeze-database.ts'

const { coffer, demo, admin, resume } = ownCloud()
/** An instance for each action, by its name. They live through every kill. */
const fleet = new Map<string, Instance>()

async function createFor(name: string): Promise<void> {
  const version = name === 'upgrade' ? { datastore: { type: 'postgresql', version: '18.3' } } : {}
  const { id } = await requestInstance(demo, { name, ...CART, ...version })
  // Many are created at once.
  const created = await waitUntilActive(demo, id, 180_000)
  fleet.set(name, created)
  await queryAs(created, 'CREATE TABLE items AS SELECT 7 AS id')
}

beforeAll(async () => {
  await admin.call('PUT', `/mgmt/quotas/${demo.project}`, { quotas: { instances: 20 } })
  await Promise.all(ACTIONS.map(({ name }) => createFor(name)))
}, 240_000)
async function queryAs(
  instance: Instance,
  text: string,
  login: pg.ClientConfig = {},
): Promise<Record<string, unknown>[]> {
  const client = await connect(instance, login)
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

const waitUntilServing = (instance: Instance) =>
  until('database', () => queryAs(instance, 'SELECT').catch(() => undefined), RECOVERY_MS)
const waitForRefusal = (instance: Instance, why: RegExp, login: pg.ClientConfig = {}) =>
  until(
    `refusal: ${why}`,
    () =>
      queryAs(instance, 'SELECT', login).then(
        () => false,
        error => why.test(String(error)),
      ),
    RECOVERY_MS,
  )
const expectData = async (instance: Instance) =>
  expect(await queryAs(instance, 'SELECT id FROM items')).toEqual([{ id: 7 }])
const settingOf = async (instance: Instance, name: string) => (await queryAs(instance, `SHOW ${name}`))[0]?.[name]

const act = (body: unknown) => (instance: Instance) => demo.call('POST', `/instances/${instance.id}/action`, body)
const actAsAdmin = (body: unknown) => (instance: Instance) =>
  admin.call('POST', `/mgmt/instances/${instance.id}/action`, body)
const put = (change: unknown) => (instance: Instance) =>
  demo.call('PUT', `/instances/${instance.id}`, { instance: change })
const ssl = (change: unknown) => (instance: Instance) =>
  demo.call('POST', `/instances/${instance.id}/ssl`, { ssl: change })

/** Another password in each round, so that a login shows which request was carried out. */
let rounds = 0
const asRoot = () => ({ user: 'root', password: `root-pw-${rounds}`, database: 'postgres' })

interface Action {
  name: string
  ask(instance: Instance): Promise<Answer>
  /** The step that waits for the paused host. Without it the database is frozen in the middle of the action. */
  step?: string
  /** The status of a request that is answered when the work is done; other actions are operations. */
  syncStatus?: number
  /** The agent does not repeat it when the server dies: then it fails with the reason and changes nothing. */
  mayFail?: boolean
  /** Resolves once the effect shows; `now` is the instance as the API shows it. */
  expectEffect?(now: Instance): Promise<unknown>
  /** Undoes the action, so that the next round can repeat it. */
  revert?(instance: Instance): Promise<unknown>
}

const waitUntilEnded = ({ id }: Instance) =>
  until(
    'end of the operation',
    async () => {
      const [latest] = (await demo.call('GET', `/instances/${id}/operations`)).body.operations
      return latest.status !== 'RUNNING' && latest.status !== 'UNDOING' && latest
    },
    RECOVERY_MS,
  )

const ACTIONS: Action[] = [
  { name: 'restart', ask: act({ restart: {} }) },
  {
    name: 'stop',
    ask: actAsAdmin({ stop: {} }),
    async expectEffect({ id }) {
      await until('stop', async () => databasePids(coffer, `volume-${id}-1`).length === 0, RECOVERY_MS)
    },
    revert: act({ restart: {} }),
  },
  { name: 'reboot', ask: actAsAdmin({ reboot: {} }) },
  {
    name: 'resize the volume',
    ask: instance => act({ resize: { volume: { size: 1 + rounds } } })(instance),
    step: 'grow_volume',
    expectEffect: async ({ volume }) => expect(volume.size).toBe(1 + rounds),
  },
  {
    name: 'resize to a flavor',
    ask: instance => act({ resize: { flavorRef: 1 + (rounds % 2) } })(instance),
    async expectEffect(now) {
      expect(now.flavor.id).toBe(String(1 + (rounds % 2)))
      // A quarter of its memory.
      expect(await settingOf(now, 'shared_buffers')).toBe(rounds % 2 === 1 ? '256MB' : '128MB')
    },
  },
  {
    name: 'upgrade',
    ask: put({ datastore_version: '18' }),
    async expectEffect(now) {
      expect(now.datastore.version).toBe('18')
      expect(await settingOf(now, 'server_version')).toBe('18.4')
    },
    revert: instance => Promise.all([deleteInstance(demo, instance.id), createFor('upgrade')]),
  },
  {
    name: 'access',
    mayFail: true,
    ask: put({ access: { allowed_cidrs: ['192.0.2.0/24'] } }),
    expectEffect: now => waitForRefusal(now, /pg_hba/),
    revert: put({ access: { allowed_cidrs: ['127.0.0.0/8'] } }),
  },
  { name: 'rebuild', ask: actAsAdmin({ rebuild: {} }), step: 'delete_old_server' },
  {
    name: 'enable root',
    ask: ({ id }) => demo.call('POST', `/instances/${id}/root`, { password: asRoot().password }),
    syncStatus: 200,
    expectEffect: now => until('root', () => queryAs(now, 'SELECT', asRoot()).catch(() => undefined), RECOVERY_MS),
  },
  {
    name: 'disable root',
    ask: ({ id }) => demo.call('DELETE', `/instances/${id}/root`),
    syncStatus: 204,
    expectEffect: now => waitForRefusal(now, /not permitted to log in|password/, asRoot()),
  },
  {
    name: 'TLS',
    ask: ssl({ enable: true, mode: 'enforced' }),
    syncStatus: 200,
    expectEffect: now => waitForRefusal(now, /rejects connection/),
    revert: ssl({ enable: true, mode: 'basic' }),
  },
]

const showInstance = async (id: string): Promise<Instance> => (await demo.call('GET', `/instances/${id}`)).body.instance
const instanceOf = ({ name }: Pick<Action, 'name'>): Instance => fleet.get(name)

/**
 * Brings every action to its middle. Returns how to let all of them go on, and the response to each (none if the API
 * died). Nothing stays frozen if this fails.
 */
async function startAll() {
  const host = hostPid(coffer)
  const frozen = ACTIONS.filter(({ step }) => step === undefined).map(action => ({
    action,
    database: freezeDatabase(coffer, instanceOf(action)),
  }))
  const answers = new Map<string, Promise<Answer | undefined>>()
  const send = (action: Action) => {
    const answer = action.ask(instanceOf(action)).catch(() => undefined)
    answers.set(action.name, answer)
    return answer
  }
  const release = () => {
    sendSignal(host, 'SIGCONT')
    for (const { database } of frozen) database.release()
  }
  const sendAccepted = async (action: Action) =>
    expect([action.name, (await send(action))?.status]).toEqual([action.name, 202])
  try {
    await Promise.all(
      frozen.map(async ({ action, database }) => {
        if (action.syncStatus === undefined) await sendAccepted(action)
        else void send(action)
        await database.waitForRequest()
      }),
    )
    sendSignal(host, 'SIGSTOP')
    for (const action of ACTIONS.filter(({ step }) => step !== undefined)) {
      await sendAccepted(action)
      expect(await waitForStep(demo, instanceOf(action), String(action.step))).toBe(action.step)
    }
  } catch (error) {
    release()
    throw error
  }
  return { release, answers }
}

/** SHUTDOWN without a fault: a database that crashed has one. */
const waitUntilStopped = ({ id }: Instance) =>
  until(
    'stopped database',
    async () => {
      const now = await showInstance(id)
      return now.operating_status === 'SHUTDOWN' && now.fault === undefined && now
    },
    RECOVERY_MS,
  )

/** The action is done, or was refused with a reason and can be requested again. */
async function expectEnd(action: Action, answer: Answer | undefined, databaseDied: boolean): Promise<void> {
  const { name, syncStatus } = action
  const instance = instanceOf(action)
  if (syncStatus === undefined) {
    const { status, error } = await waitUntilEnded(instance)
    if (action.mayFail && databaseDied && status === 'FAILED') return expectUnchanged(action, error)
    expect([name, status, error]).toEqual([name, 'DONE', null])
  } else if (answer && answer.status !== syncStatus) {
    expect([name, answer.status, Object.values(answer.body)]).toEqual([
      name,
      expect.any(Number),
      [{ code: answer.status, message: expect.any(String) }],
    ])
    await until('second time', async () => (await action.ask(instance)).status === syncStatus, RECOVERY_MS)
  }
  const now = name === 'stop' ? await waitUntilStopped(instance) : await waitUntilActive(demo, instance.id, RECOVERY_MS)
  expect([name, now.fault]).toEqual([name, undefined])
  fleet.set(name, now)
  await action.expectEffect?.(now)
}

/** The action failed with a reason and changed nothing. */
async function expectUnchanged(action: Action, error: string): Promise<void> {
  const now = await waitUntilActive(demo, instanceOf(action).id, RECOVERY_MS)
  expect(now.fault.message).toBe(error)
  expect(error).toMatch(/ECONN|terminat/)
  await waitUntilServing(now)
}

/** Brings the instance back to where it was, with its data. */
async function restore(action: Action): Promise<void> {
  await action.revert?.(instanceOf(action))
  const instance = await waitUntilActive(demo, instanceOf(action).id, RECOVERY_MS)
  fleet.set(action.name, instance)
  await waitUntilServing(instance)
  await expectData(instance)
}

async function enableRootAgain(): Promise<void> {
  const { id } = instanceOf({ name: 'disable root' })
  expect((await demo.call('POST', `/instances/${id}/root`, { password: asRoot().password })).status).toBe(200)
}

describe.each(VICTIMS)('kill -9 of %s', victim => {
  it('in the middle of every action loses nothing, and every action ends well', async () => {
    rounds += 1
    const dies = victim === 'database' || victim === 'everything'
    await enableRootAgain()
    const { release, answers } = await startAll()
    await resume(await killAndRestart(coffer, victim, release))
    await Promise.all(ACTIONS.map(async action => expectEnd(action, await answers.get(action.name), dies)))
    await Promise.all(ACTIONS.map(restore))
  }, 240_000)
})

it('leaves nothing behind', async () => {
  await Promise.all([...fleet.values()].map(({ id }) => deleteInstance(demo, id)))
  await waitUntilClean(coffer)
}, 120_000)
