import { describe, expect, it } from '@jest/globals'
import { type Instance, instances } from '../../lib/instances/instance.ts'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { asked, type Sent } from '../sim/api.ts'
import { World } from '../sim/world.ts'

const admin = { roles: 'admin', path: '/mgmt/instances/ID/action' }
const member = { path: '/instances/ID/action' }
const put = { method: 'PUT', path: '/instances/ID' }

/** What needs an active server whose database is known, and nothing else being done. */
const NEEDS_ALL: Record<string, Partial<Sent>> = {
  restart: { ...member, body: { restart: {} } },
  'resize of the volume': { ...member, body: { resize: { volume: { size: 2 } } } },
  'resize to a flavor': { ...member, body: { resize: { flavorRef: '2' } } },
  'a new certificate': { path: '/instances/ID/ssl', body: { ssl: { disable: true } } },
}
/** What the reference checks no state for; here, nothing else may be being done with the server that there is. */
const NEEDS_SERVER: Record<string, Partial<Sent>> = {
  upgrade: { ...put, body: { instance: { datastore_version: '18' } } },
  access: { ...put, body: { instance: { access: { is_public: true } } } },
  stop: { ...admin, body: { stop: {} } },
  reboot: { ...admin, body: { reboot: {} } },
}
const NEEDS_REST: Record<string, Partial<Sent>> = {
  rebuild: { ...admin, body: { rebuild: { image_id: '00000000-0000-4000-8000-000000000000' } } },
}
/** Ways out, and what changes a record alone. */
const NEEDS_NOTHING: Record<string, Partial<Sent>> = {
  'reset of the status': { ...member, roles: 'admin', body: { reset_status: {} } },
  rename: { ...put, body: { instance: { name: 'store' } } },
  delete: { method: 'DELETE', path: '/instances/ID' },
}
const ALL = { ...NEEDS_ALL, ...NEEDS_SERVER, ...NEEDS_REST, ...NEEDS_NOTHING }

const at = (status: NonNullable<Instance['service']>['status']) => ({ service: { status, at: 0, sent: 99 } })
const server = (status: NonNullable<Instance['server']>['status']) => ({ server: { status, addresses: [] } })
const doing = { operation: { id: '00000000-0000-4000-8000-000000000001', name: 'restart' as const } }

/** An instance's facts, and what can be begun with it then. */
const STATES: [string, Partial<Instance> | undefined, Record<string, Partial<Sent>>[]][] = [
  ['is healthy', {}, [NEEDS_ALL, NEEDS_SERVER, NEEDS_REST, NEEDS_NOTHING]],
  ...(['running', 'shutdown', 'crashed'] as const).map((status): (typeof STATES)[number] => [
    `has a database that is ${status}`,
    at(status),
    [NEEDS_ALL, NEEDS_SERVER, NEEDS_REST, NEEDS_NOTHING],
  ]),
  ...(['new', 'building', 'restarting'] as const).map((status): (typeof STATES)[number] => [
    `has a database of which is said: ${status}`,
    at(status),
    [NEEDS_SERVER, NEEDS_REST, NEEDS_NOTHING],
  ]),
  ...(['ERROR', 'SHUTDOWN', 'BUILD'] as const).map((status): (typeof STATES)[number] => [
    `has a server in ${status}`,
    server(status),
    [NEEDS_SERVER, NEEDS_REST, NEEDS_NOTHING],
  ]),
  ['has lost its server', server('GONE'), [NEEDS_REST, NEEDS_NOTHING]],
  ['is an error', { task: 'BUILDING_ERROR_TIMEOUT_GA' }, [NEEDS_SERVER, NEEDS_REST, NEEDS_NOTHING]],
  ...(['REBOOTING', 'RESIZING', 'UPGRADING', 'UPDATING', 'BUILDING'] as const).map((task): (typeof STATES)[number] => [
    `is ${task}`,
    { task, ...doing },
    [NEEDS_NOTHING],
  ]),
]

describe.each(STATES)('an instance that %s', (_, facts, takes) => {
  it('takes what the table of states says, and answers 422 to the rest', async () => {
    const world = await new World().open()
    await scenarios.upgrade.before(world)
    const { id, project } = (await theInstance(world))!
    const item = (await instances.get(world.store, project, id))!
    await world.store.transact([instances.replace(item, { ...item.body, ...facts })])
    const answers: [string, number | undefined][] = []
    for (const [name, sent] of Object.entries(ALL)) {
      const path = `${sent.path?.replace('ID', id)}?dry_run=true`
      const answer = await asked(world, { method: 'POST', ...sent, path })
      answers.push([name, answer?.status === 200 ? 202 : answer?.status])
    }
    const taken = Object.keys(Object.assign({}, ...takes))
    expect(answers).toEqual(Object.keys(ALL).map(name => [name, taken.includes(name) ? 202 : 422]))
  })
})
