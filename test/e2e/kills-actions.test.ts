import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type pg from 'pg'
import {
  type Answer,
  active,
  type Coffer,
  deleteInstance,
  processesOf,
  type Session,
  startCoffer,
  until,
  wipe,
} from './coffer.ts'
import {
  at,
  connected,
  databasePids,
  hostPid,
  type Instance,
  killed,
  SOON_MS,
  signal,
  USERS,
  VICTIMS,
} from './kills.ts'
import { clean } from './leftovers.ts'
import { holdDatabase } from './moments.ts'

let coffer: Coffer
let demo: Session
let admin: Session
/** An instance for each action, by its name, which all of them live through every kill. */
const fleet = new Map<string, Instance>()

async function login(): Promise<void> {
  demo = await coffer.login()
  admin = await coffer.login('openrc-admin')
}

async function make(name: string): Promise<void> {
  const version = name === 'upgrade' ? { datastore: { type: 'postgresql', version: '18.3' } } : {}
  const body = { instance: { name, flavorRef: 1, volume: { size: 1 }, ...USERS, ...version } }
  const asked = await demo.call('POST', '/instances', body)
  expect(asked.status).toBe(200)
  // Many at once.
  const made = await active(demo, asked.body.instance.id, 180_000)
  fleet.set(name, made)
  await ask(made, 'CREATE TABLE items AS SELECT 7 AS id')
}

beforeAll(async () => {
  coffer = await startCoffer()
  await login()
  await admin.call('PUT', `/mgmt/quotas/${demo.project}`, { quotas: { instances: 20 } })
  await Promise.all(ACTIONS.map(({ name }) => make(name)))
}, 240_000)
afterAll(async () => {
  expect(await coffer.stop()).toBe(0)
  expect(processesOf(coffer.dataDir)).toEqual([])
  await wipe(coffer.dataDir)
}, 60_000)

async function ask(instance: Instance, text: string, more: pg.ClientConfig = {}): Promise<Record<string, unknown>[]> {
  const client = await connected(instance, more)
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

const serves = (instance: Instance) => until('database', () => ask(instance, 'SELECT').catch(() => undefined), SOON_MS)
const refused = (instance: Instance, why: RegExp, more: pg.ClientConfig = {}) =>
  until(
    `refusal: ${why}`,
    () =>
      ask(instance, 'SELECT', more).then(
        () => false,
        error => why.test(String(error)),
      ),
    SOON_MS,
  )
const kept = async (instance: Instance) => expect(await ask(instance, 'SELECT id FROM items')).toEqual([{ id: 7 }])
const settingOf = async (instance: Instance, name: string) => (await ask(instance, `SHOW ${name}`))[0]?.[name]

const act = (body: unknown) => (instance: Instance) => demo.call('POST', `/instances/${instance.id}/action`, body)
const actAsAdmin = (body: unknown) => (instance: Instance) =>
  admin.call('POST', `/mgmt/instances/${instance.id}/action`, body)
const put = (change: unknown) => (instance: Instance) =>
  demo.call('PUT', `/instances/${instance.id}`, { instance: change })
const ssl = (change: unknown) => (instance: Instance) =>
  demo.call('POST', `/instances/${instance.id}/ssl`, { ssl: change })

/** Another password each time: one that works tells which wish was granted. */
let rounds = 0
const asRoot = () => ({ user: 'postgres', password: `root-pw-${rounds}`, database: 'postgres' })

interface Action {
  name: string
  ask(instance: Instance): Promise<Answer>
  /** The step at which the host has it, who is held up; else the database is, in the middle of what is done to it. */
  step?: string
  /** It is answered when it is done; others are operations. */
  answered?: number
  /** Its agent asks the server itself, which may have died over it: then it has failed with the reason. */
  orAsBefore?: boolean
  /** Resolves once what was asked for is so; `now` is how the API shows the instance. */
  done?(now: Instance): Promise<unknown>
  /** Back to where it can be asked for again. */
  again?(instance: Instance): Promise<unknown>
}

const ended = ({ id }: Instance) =>
  until(
    'end of the operation',
    async () => {
      const [latest] = (await demo.call('GET', `/instances/${id}/operations`)).body.operations
      return latest.status !== 'RUNNING' && latest.status !== 'UNDOING' && latest
    },
    SOON_MS,
  )

const ACTIONS: Action[] = [
  { name: 'restart', ask: act({ restart: {} }) },
  {
    name: 'stop',
    ask: actAsAdmin({ stop: {} }),
    async done({ id }) {
      await until('stop', async () => databasePids(coffer, `volume-${id}-1`).length === 0, SOON_MS)
    },
    again: act({ restart: {} }),
  },
  { name: 'reboot', ask: actAsAdmin({ reboot: {} }) },
  {
    name: 'resize the volume',
    ask: instance => act({ resize: { volume: { size: 1 + rounds } } })(instance),
    step: 'volume',
    done: async ({ volume }) => expect(volume.size).toBe(1 + rounds),
  },
  {
    name: 'resize to a flavor',
    ask: instance => act({ resize: { flavorRef: 1 + (rounds % 2) } })(instance),
    async done(now) {
      expect(now.flavor.id).toBe(String(1 + (rounds % 2)))
      // A quarter of its memory.
      expect(await settingOf(now, 'shared_buffers')).toBe(rounds % 2 === 1 ? '256MB' : '128MB')
    },
  },
  {
    name: 'upgrade',
    ask: put({ datastore_version: '18' }),
    async done(now) {
      expect(now.datastore.version).toBe('18')
      expect(await settingOf(now, 'server_version')).toBe('18.4')
    },
    again: instance => Promise.all([deleteInstance(demo, instance.id), make('upgrade')]),
  },
  {
    name: 'access',
    orAsBefore: true,
    ask: put({ access: { allowed_cidrs: ['192.0.2.0/24'] } }),
    done: now => refused(now, /pg_hba/),
    again: put({ access: { allowed_cidrs: ['127.0.0.0/8'] } }),
  },
  { name: 'rebuild', ask: actAsAdmin({ rebuild: {} }), step: 'old server' },
  {
    name: 'enable root',
    ask: ({ id }) => demo.call('POST', `/instances/${id}/root`, { password: asRoot().password }),
    answered: 200,
    done: now => until('root', () => ask(now, 'SELECT', asRoot()).catch(() => undefined), SOON_MS),
  },
  {
    name: 'disable root',
    ask: ({ id }) => demo.call('DELETE', `/instances/${id}/root`),
    answered: 204,
    done: now => refused(now, /not permitted to log in|password/, asRoot()),
  },
  {
    name: 'TLS',
    ask: ssl({ enable: true, mode: 'enforced' }),
    answered: 200,
    done: now => refused(now, /rejects connection/),
    again: ssl({ enable: true, mode: 'basic' }),
  },
]

const shown = async (id: string): Promise<Instance> => (await demo.call('GET', `/instances/${id}`)).body.instance
const instanceOf = ({ name }: Pick<Action, 'name'>): Instance => fleet.get(name)

/** Brings every action to its middle (what was held goes on if that fails); answers what lets all go on, and what was answered to each (nothing: the API died). */
async function begun() {
  const host = hostPid(coffer)
  const held = ACTIONS.filter(({ step }) => step === undefined).map(action => ({
    action,
    database: holdDatabase(coffer, instanceOf(action)),
  }))
  const answers = new Map<string, Promise<Answer | undefined>>()
  const asked = (action: Action) => {
    const answer = action.ask(instanceOf(action)).catch(() => undefined)
    answers.set(action.name, answer)
    return answer
  }
  const release = () => {
    signal(host, 'SIGCONT')
    for (const { database } of held) database.release()
  }
  const accepted = async (action: Action) =>
    expect([action.name, (await asked(action))?.status]).toEqual([action.name, 202])
  try {
    await Promise.all(
      held.map(async ({ action, database }) => {
        if (action.answered === undefined) await accepted(action)
        else void asked(action)
        await database.wanted()
      }),
    )
    signal(host, 'SIGSTOP')
    for (const action of ACTIONS.filter(({ step }) => step !== undefined)) {
      await accepted(action)
      expect(await at(demo, instanceOf(action), String(action.step))).toBe(action.step)
    }
  } catch (error) {
    release()
    throw error
  }
  return { release, answers }
}

/** Down with nothing to complain of: one that crashed is SHUTDOWN with the reason. */
const stopped = ({ id }: Instance) =>
  until(
    'stopped database',
    async () => {
      const now = await shown(id)
      return now.operating_status === 'SHUTDOWN' && now.fault === undefined && now
    },
    SOON_MS,
  )

/** What was asked for is done, or was refused with a reason and can be asked for again. */
async function expectEnd(action: Action, answer: Answer | undefined, databaseDied: boolean): Promise<void> {
  const { name, answered } = action
  const instance = instanceOf(action)
  if (answered === undefined) {
    const { status, error } = await ended(instance)
    if (action.orAsBefore && databaseDied && status === 'FAILED') return expectAsBefore(action, error)
    expect([name, status, error]).toEqual([name, 'DONE', null])
  } else if (answer && answer.status !== answered) {
    expect([name, answer.status, Object.values(answer.body)]).toEqual([
      name,
      expect.any(Number),
      [{ code: answer.status, message: expect.any(String) }],
    ])
    await until('second time', async () => (await action.ask(instance)).status === answered, SOON_MS)
  }
  const now = name === 'stop' ? await stopped(instance) : await active(demo, instance.id, SOON_MS)
  expect([name, now.fault]).toEqual([name, undefined])
  fleet.set(name, now)
  await action.done?.(now)
}

/** What failed says why, and has changed nothing. */
async function expectAsBefore(action: Action, error: string): Promise<void> {
  const now = await active(demo, instanceOf(action).id, SOON_MS)
  expect(now.fault.message).toBe(error)
  expect(error).toMatch(/ECONN|terminat/)
  await serves(now)
}

/** As it was, with its data, and open to the next wish. */
async function restored(action: Action): Promise<void> {
  await action.again?.(instanceOf(action))
  const instance = await active(demo, instanceOf(action).id, SOON_MS)
  fleet.set(action.name, instance)
  await serves(instance)
  await kept(instance)
}

async function prepared(): Promise<void> {
  const { id } = instanceOf({ name: 'disable root' })
  expect((await demo.call('POST', `/instances/${id}/root`, { password: asRoot().password })).status).toBe(200)
}

describe.each(VICTIMS)('kill -9 of %s', victim => {
  it('in the middle of every action: all end well, and nothing is lost', async () => {
    rounds += 1
    const dies = victim === 'database' || victim === 'everything'
    await prepared()
    const { release, answers } = await begun()
    coffer = await killed(coffer, victim, release)
    await login()
    await Promise.all(ACTIONS.map(async action => expectEnd(action, await answers.get(action.name), dies)))
    await Promise.all(ACTIONS.map(restored))
  }, 240_000)
})

it('leaves nothing over', async () => {
  await Promise.all([...fleet.values()].map(({ id }) => deleteInstance(demo, id)))
  await clean(coffer)
}, 120_000)
