import { messageOf } from '../../lib/kit/errors.ts'
import { BASE, newEntry, recordChange } from './ledger.ts'
import type { Random } from './random.ts'
import { type Action, pathOf, type Scene, type Stage } from './scene.ts'
import { runSql } from './sql.ts'
import { newPassword, userActions } from './user-actions.ts'

/** Creates an instance, most often with a database and a user that writes rows. */
export async function createInstance({ client, fleet, random, journal }: Stage, owner: string): Promise<void> {
  await fleet.withRoom(async () => {
    const name = `soak-${crypto.randomUUID().slice(0, 8)}`
    const hasBase = random.chance(0.75)
    const writer = { name: 'writer', password: newPassword(random) }
    const reply = await client.callOnce('create', '/instances', {
      instance: {
        name,
        flavorRef: 1,
        volume: { size: 1 },
        ...(random.chance(0.4) && { datastore: { type: 'postgresql', version: '18.3' } }),
        ...(hasBase && {
          databases: [{ name: BASE }],
          users: [{ ...writer, databases: [{ name: BASE }] }],
        }),
      },
    })
    if (reply.status !== 200) return undefined
    const entry = newEntry({ id: reply.body.instance.id, owner, name, hasBase })
    journal.write({ created: entry.id, owner })
    if (!hasBase) return entry
    recordChange(entry, writer.name, { password: writer.password, outcome: 'done' })
    return { ...entry, writer }
  })
}

const post = (name: string, weight: number, rest: string, body: (random: Random) => unknown): Action => ({
  name,
  weight,
  run: ({ client, entry, random }) => client.call(name, 'POST', pathOf(entry, rest), body(random)),
})

const get = (name: string, weight: number, rest: string): Action => ({
  name,
  weight,
  run: ({ client, entry }) => client.call(name, 'GET', pathOf(entry, rest)),
})

const put = (name: string, weight: number, body: (random: Random) => unknown): Action => ({
  name,
  weight,
  run: ({ client, entry, random }) => client.call(name, 'PUT', pathOf(entry), { instance: body(random) }),
})

/** A delete without an answer is repeated later: the instance stays in the fleet. */
const deleteInstance: Action = {
  name: 'delete',
  weight: 1,
  async run({ client, entry, journal }) {
    entry.isDeleteSent = true
    const reply = await client.call('delete', 'DELETE', pathOf(entry))
    if (reply?.status !== 202 && reply?.status !== 404) return
    entry.isDeleted = true
    journal.write({ deleted: entry.id })
  },
}

/** What the database has confirmed has to be there in the end. */
const insertRow: Action = {
  name: 'insert a row',
  weight: 12,
  async run({ entry, instance, ca, random, journal }) {
    if (!entry.writer) return
    const { name: user, password } = entry.writer
    const row = random.whole(1, 2 ** 31 - 1)
    try {
      await runSql(instance, { user, password, database: BASE }, ca, [
        'CREATE TABLE IF NOT EXISTS written (id integer)',
        `INSERT INTO written VALUES (${row})`,
      ])
      entry.rows.add(row)
      journal.write({ action: 'insert a row', instance: entry.id })
    } catch (error) {
      journal.write({ action: 'insert a row', instance: entry.id, failed: messageOf(error) })
    }
  },
}

/** Requests something of the latest operation. */
const steer = (name: 'cancel' | 'retry', weight: number): Action => ({
  name,
  weight,
  async run({ client, entry }) {
    const reply = await client.call('list operations', 'GET', pathOf(entry, '/operations'))
    const latest = reply?.status === 200 ? reply.body.operations[0] : undefined
    if (latest) await client.call(name, 'POST', pathOf(entry, `/operations/${latest.id}/action`), { [name]: {} })
  },
})

const resizeVolume: Action = {
  name: 'resize the volume',
  weight: 3,
  async run({ client, entry, instance }) {
    const size = instance.volume.size + 1
    if (size <= 4) {
      await client.call('resize the volume', 'POST', pathOf(entry, '/action'), { resize: { volume: { size } } })
    }
  },
}

const resizeFlavor: Action = {
  name: 'resize to a flavor',
  weight: 4,
  run({ client, entry, instance }) {
    const flavorRef = instance.flavor.id === '1' ? 2 : 1
    return client.call('resize to a flavor', 'POST', pathOf(entry, '/action'), { resize: { flavorRef } })
  },
}

/** Of those that were created with the older minor version. */
const upgrade: Action = {
  name: 'upgrade',
  weight: 6,
  async run({ client, entry, instance }) {
    if (instance.datastore.version === '18') return
    await client.call('upgrade', 'PUT', pathOf(entry), { instance: { datastore_version: '18' } })
  },
}

const TLS_MODES = [{ enable: true, mode: 'basic' }, { enable: true, mode: 'enforced' }, { disable: true }]

/** Every list has the loopback network, from where the soak itself connects. */
const access = (random: Random) => ({
  allowed_cidrs: ['127.0.0.0/8', ...(random.chance(0.5) ? ['192.0.2.0/24'] : [])],
})

/** What members do to instances that serve. */
const SERVING: Action[] = [
  ...userActions,
  insertRow,
  resizeVolume,
  resizeFlavor,
  upgrade,
  deleteInstance,
  steer('retry', 1),
  post('restart', 5, '/action', () => ({ restart: {} })),
  post('change TLS', 3, '/ssl', random => ({ ssl: random.pick(TLS_MODES) })),
  post('reset the status', 1, '/action', () => ({ reset_status: { force_delete: true } })),
  put('change access', 3, random => ({ access: access(random) })),
  put('rename', 1, random => ({ name: `soak-again-${random.whole(1, 99)}` })),
  get('show TLS', 1, '/ssl'),
  get('show root', 1, '/root'),
  get('show the configuration', 1, '/configuration'),
]

/** What members do to instances that do not serve, or not yet. */
const OTHERS: Action[] = [
  deleteInstance,
  steer('cancel', 1),
  steer('retry', 3),
  get('show', 20, ''),
  get('list users', 2, '/users'),
  post('restart', 5, '/action', () => ({ restart: {} })),
  post('reset the status', 1, '/action', () => ({ reset_status: { force_delete: true } })),
]

const isServing = ({ instance }: Pick<Scene, 'instance'>) =>
  instance.status === 'ACTIVE' && instance.operating_status === 'HEALTHY'

/** What a member may do to an instance in its state. */
export const memberActions = (scene: Pick<Scene, 'instance'>): Action[] => (isServing(scene) ? SERVING : OTHERS)

const mgmt = (name: string, weight: number, body: unknown): Action => ({
  name: `mgmt: ${name}`,
  weight,
  run: ({ client, entry }) => client.call(`mgmt: ${name}`, 'POST', `/mgmt${pathOf(entry, '/action')}`, body),
})
const look = (name: string, path: (scene: Scene) => string): Action => ({
  name: `mgmt: ${name}`,
  weight: 1,
  run: scene => scene.client.call(`mgmt: ${name}`, 'GET', path(scene)),
})

/** What an admin does. */
export const ADMIN_ACTIONS: Action[] = [
  mgmt('stop', 2, { stop: {} }),
  mgmt('reboot', 3, { reboot: {} }),
  mgmt('rebuild', 3, { rebuild: {} }),
  mgmt('reset the status', 1, { 'reset-task-status': {} }),
  look('show', ({ entry }) => `/mgmt${pathOf(entry)}`),
  look('show root', ({ entry }) => `/mgmt${pathOf(entry, '/root')}`),
  look('hardware', ({ entry }) => `/mgmt${pathOf(entry, '/hwinfo')}`),
  look('diagnostics', ({ entry }) => `/mgmt${pathOf(entry, '/diagnostics')}`),
  look('ping', ({ entry }) => `/mgmt${pathOf(entry, '/rpc_ping')}`),
  look('list', () => '/mgmt/instances?limit=20'),
  look('audit', () => '/mgmt/audit?limit=20'),
  look('hosts', () => '/mgmt/hosts'),
]
