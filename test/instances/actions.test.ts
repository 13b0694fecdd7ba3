import { describe, expect, it } from '@jest/globals'
import { type Instance, instances } from '../../lib/model/instance.ts'
import { scenarios, theInstance } from '../laws/scenarios.ts'
import { type ApiRequest, sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'

const admin = { roles: 'admin', path: '/mgmt/instances/ID/action' }
const member = { path: '/instances/ID/action' }
const put = { method: 'PUT', path: '/instances/ID' }

/** Need an active server, a database in a known state, and no running operation. */
const NEEDS_ALL: Record<string, Partial<ApiRequest>> = {
  restart: { ...member, body: { restart: {} } },
  'resize of the volume': { ...member, body: { resize: { volume: { size: 2 } } } },
  'resize to a flavor': { ...member, body: { resize: { flavorRef: '2' } } },
  'a new certificate': { path: '/instances/ID/ssl', body: { ssl: { disable: true } } },
}
/** Need a server and no running operation. The reference checks no state for these. */
const NEEDS_SERVER: Record<string, Partial<ApiRequest>> = {
  upgrade: { ...put, body: { instance: { datastore_version: '18' } } },
  access: { ...put, body: { instance: { access: { is_public: true } } } },
  stop: { ...admin, body: { stop: {} } },
  reboot: { ...admin, body: { reboot: {} } },
}
/** Need no running operation. */
const NEEDS_IDLE: Record<string, Partial<ApiRequest>> = {
  rebuild: { ...admin, body: { rebuild: { image_id: '00000000-0000-4000-8000-000000000000' } } },
}
/** Always possible: ways out, and changes of a record only. */
const NEEDS_NOTHING: Record<string, Partial<ApiRequest>> = {
  'reset of the status': { ...member, roles: 'admin', body: { reset_status: {} } },
  rename: { ...put, body: { instance: { name: 'store' } } },
  delete: { method: 'DELETE', path: '/instances/ID' },
}
const ALL = { ...NEEDS_ALL, ...NEEDS_SERVER, ...NEEDS_IDLE, ...NEEDS_NOTHING }

const reported = (status: NonNullable<Instance['agentReport']>['status']) => ({
  agentReport: { status, at: 0, sequence: 99 },
})
const server = (status: NonNullable<Instance['server']>['status']) => ({ server: { status, addresses: [] } })
const running = { operation: { id: '00000000-0000-4000-8000-000000000001', name: 'restart' as const } }

/** Facts of an instance, and the requests that are accepted then. */
const STATES: [string, Partial<Instance> | undefined, Record<string, Partial<ApiRequest>>[]][] = [
  ['is healthy', {}, [NEEDS_ALL, NEEDS_SERVER, NEEDS_IDLE, NEEDS_NOTHING]],
  ...(['running', 'shutdown', 'crashed'] as const).map((status): (typeof STATES)[number] => [
    `has a database that is ${status}`,
    reported(status),
    [NEEDS_ALL, NEEDS_SERVER, NEEDS_IDLE, NEEDS_NOTHING],
  ]),
  ...(['new', 'building', 'restarting'] as const).map((status): (typeof STATES)[number] => [
    `has a database that is ${status}`,
    reported(status),
    [NEEDS_SERVER, NEEDS_IDLE, NEEDS_NOTHING],
  ]),
  ...(['ERROR', 'SHUTDOWN', 'BUILD'] as const).map((status): (typeof STATES)[number] => [
    `has a server in ${status}`,
    server(status),
    [NEEDS_SERVER, NEEDS_IDLE, NEEDS_NOTHING],
  ]),
  ['has lost its server', server('GONE'), [NEEDS_IDLE, NEEDS_NOTHING]],
  [
    'has the task BUILDING_ERROR_TIMEOUT_GA',
    { failure: 'BUILDING_ERROR_TIMEOUT_GA' },
    [NEEDS_SERVER, NEEDS_IDLE, NEEDS_NOTHING],
  ],
  ...(['restart', 'resize_volume', 'upgrade', 'update_access', 'rebuild'] as const).map(
    (name): (typeof STATES)[number] => [
      `has the operation ${name}`,
      { ...running, operation: { id: 'op-1', name } },
      [NEEDS_NOTHING],
    ],
  ),
]

describe.each(STATES)('an instance that %s', (_, facts, accepted) => {
  it('accepts the requests that its state allows, and answers 422 to the others', async () => {
    const world = await new World().open()
    await scenarios.upgrade.before(world)
    const { id, project } = (await theInstance(world))!
    const item = (await instances.get(world.store, project, id))!
    await world.store.transact([instances.replace(item, { ...item.body, ...facts })])
    const answers: [string, number | undefined][] = []
    for (const [name, request] of Object.entries(ALL)) {
      const path = `${request.path?.replace('ID', id)}?dry_run=true`
      const answer = await sendRequest(world, { method: 'POST', ...request, path })
      answers.push([name, answer?.status === 200 ? 202 : answer?.status])
    }
    const acceptedNames = Object.keys(Object.assign({}, ...accepted))
    expect(answers).toEqual(Object.keys(ALL).map(name => [name, acceptedNames.includes(name) ? 202 : 422]))
  })
})
