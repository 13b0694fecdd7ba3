import { availableParallelism } from 'node:os'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { refusal } from './api-helpers.ts'
import { ownCloud } from './cloud.ts'
import { type Answer, createInstance, deleteInstance } from './coffer.ts'

const { coffer, demo, alt, admin } = ownCloud(['--spares', '0'])
let shop: Answer['body']
let other: Answer['body']
let gone: string
beforeAll(async () => {
  const created = [createInstance(demo), createInstance(alt, { name: 'other' }), createInstance(demo, { name: 'gone' })]
  const [first, second, deleted] = await Promise.all(created)
  shop = first
  other = second
  gone = deleted.id
  await demo.call('POST', `/instances/${gone}/root`)
  await deleteInstance(demo, gone)
})

const get = (path: string) => admin.call('GET', `/mgmt/instances${path}`)
const ids = (answer: Answer): string[] => answer.body.instances.map(({ id }: { id: string }) => id).toSorted()
const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/)

describe('the list', () => {
  it('has the instances of all projects, with fields for admins', async () => {
    const answer = await get('?include_clustered=False&deleted=False')
    expect(answer.status).toBe(200)
    expect(ids(answer)).toEqual([shop.id, other.id].toSorted())
    const row = answer.body.instances.find(({ id }: { id: string }) => id === shop.id)
    expect(row).toMatchObject({
      name: 'shop',
      status: 'ACTIVE',
      operating_status: 'HEALTHY',
      tenant_id: demo.project,
      server: { name: expect.any(String), status: 'ACTIVE', tenant_id: demo.project },
      service_status: 'HEALTHY',
      deleted: false,
      deleted_at: null,
      task_description: 'No tasks for the instance.',
    })
    // Links lead through the admin's project, the only one that the admin's token opens.
    expect(row.links[0].href).toBe(`${coffer.base}/v1.0/${admin.project}/instances/${shop.id}`)
  })

  it('has deleted instances on request, with lenient booleans', async () => {
    for (const yes of ['true', 'True', '1']) expect(ids(await get(`?deleted=${yes}`))).toEqual([gone])
    for (const no of ['false', 'False', '0']) {
      expect(ids(await get(`?deleted=${no}`))).toEqual([shop.id, other.id].toSorted())
    }
    for (const all of ['', '?deleted=', '?deleted=maybe', '?include_clustered=perhaps']) {
      expect(ids(await get(all))).toEqual([shop.id, other.id, gone].toSorted())
    }
    const [row] = (await get('?deleted=true')).body.instances
    expect(row).toMatchObject({ name: 'gone', deleted: true, deleted_at: TIME, server: null, status: 'SHUTDOWN' })
  })

  it('can be filtered by project', async () => {
    expect(ids(await get(`?project_id=${alt.project}`))).toEqual([other.id])
    expect(ids(await get(`?project_id=${demo.project}`))).toEqual([shop.id, gone].toSorted())
    expect(ids(await get(`?project_id=${demo.project}&deleted=false`))).toEqual([shop.id])
    for (const none of ['nobody', '*', '%00', '%23']) expect(ids(await get(`?project_id=${none}`))).toEqual([])
  })

  it('is paged over all projects, with the last id as the marker', async () => {
    const listed: string[] = []
    let count = 0
    for (let next: string | undefined = '/mgmt/instances?limit=1&deleted=False'; next !== undefined; count++) {
      const { body } = await admin.call('GET', next)
      expect(body.instances_links).toEqual(body.links)
      listed.push(...body.instances.map(({ id }: { id: string }) => id))
      next = body.links?.[0].href
      if (next) expect(new URL(next).searchParams.get('marker')).toBe(listed.at(-1))
    }
    expect(listed).toEqual([shop.id, other.id].toSorted())
    expect(count).toBe(2)
    expect(await refusal(get('?limit=0'))).toMatch(/^400 /)
  })
})

describe('one instance', () => {
  it('is shown with its server and volume', async () => {
    const { status, body } = await get(`/${shop.id}`)
    expect(status).toBe(200)
    const [address] = shop.addresses
    expect(body.instance).toMatchObject({
      id: shop.id,
      tenant_id: demo.project,
      server: { addresses: { [address.type]: [{ addr: address.address, version: 4 }] }, tenant_id: demo.project },
      volume: {
        attachments: [{ server_id: body.instance.server.id }],
        created_at: TIME,
        id: expect.any(String),
        size: 1,
        status: 'in-use',
        used: expect.any(Number),
        total: 1,
      },
      guest_status: { state_description: 'healthy' },
      deleted: false,
    })
  })

  it('is shown after its deletion on request', async () => {
    expect(await refusal(get(`/${gone}`))).toMatch(/^404 /)
    expect(await refusal(get(`/${gone}?deleted=false`))).toMatch(/^404 /)
    const { status, body } = await get(`/${gone}?deleted=True`)
    expect(status).toBe(200)
    expect(body.instance).toMatchObject({ id: gone, deleted: true, deleted_at: TIME, server: null, root_enabled: TIME })
    expect((await get(`/${gone}/root?deleted=true`)).body.root_history).toMatchObject({ id: gone, enabled: TIME })
    expect((await get(`/${shop.id}?deleted=true`)).body.instance.deleted).toBe(false)
    for (const path of ['', '/root', '/hwinfo', '/diagnostics', '/rpc_ping']) {
      expect(await refusal(get(`/${gone}${path}`))).toMatch(/^404 /)
      expect(await refusal(get(`/nothing${path}?deleted=true`))).toMatch(/^404 /)
    }
  })

  it('reports its hardware, the resource use of its database, and a ping', async () => {
    const { hwinfo } = (await get(`/${shop.id}/hwinfo`)).body
    expect(hwinfo).toEqual({ mem_total: expect.any(Number), num_cpus: availableParallelism() })
    const { diagnostics } = (await get(`/${other.id}/diagnostics`)).body
    const figure = expect.any(Number)
    expect(diagnostics).toEqual({
      version: other.datastore.version,
      threads: 1,
      fdSize: figure,
      vmSize: figure,
      vmPeak: figure,
      vmRss: figure,
      vmHwm: figure,
    })
    const pong = await get(`/${shop.id}/rpc_ping`)
    expect([pong.status, pong.text]).toEqual([204, ''])
  })
})

it('members are refused with Trove’s message', async () => {
  const denied = { unauthorized: { code: 401, message: 'User does not have admin privileges.' } }
  for (const path of [
    '',
    `/${shop.id}`,
    ...['root', 'hwinfo', 'diagnostics', 'rpc_ping'].map(p => `/${shop.id}/${p}`),
  ]) {
    const answer = await demo.call('GET', `/mgmt/instances${path}`)
    expect([answer.status, answer.body]).toEqual([401, denied])
  }
})

describe('the default configuration of an instance', () => {
  it('depends on the flavor, and is shown to the owner and to admins', async () => {
    for (const session of [demo, admin]) {
      const { status, body } = await session.call('GET', `/instances/${shop.id}/configuration`)
      expect(status).toBe(200)
      expect(Object.keys(body)).toEqual(['instance'])
      expect(Object.keys(body.instance)).toEqual(['configuration'])
      // The flavor has 512 MB and one processor.
      expect(body.instance.configuration).toMatchObject({ shared_buffers: '128MB', max_connections: 64 })
      expect(body.instance.configuration).not.toHaveProperty('listen_addresses')
    }
    expect(await refusal(alt.call('GET', `/instances/${shop.id}/configuration`))).toMatch(/^404 /)
    for (const flag of ['true', 'True', '1', 'x']) {
      expect(ids(await demo.call('GET', `/instances?include_clustered=${flag}`))).toEqual([shop.id])
    }
  })
})

describe('the audit', () => {
  it('has changes of identities, which the project sees too, without a secret', async () => {
    const me = await alt.call('GET', `${coffer.base}/identity/v3/auth/tokens`, undefined, {
      'x-subject-token': alt.token,
    })
    const user = `${coffer.base}/identity/v3/users/${me.body.token.user.id}`
    const spec = { application_credential: { name: 'ci', secret: 'canary-secret' } }
    const created = await alt.call('POST', `${user}/application_credentials`, spec)
    expect(created.status).toBe(201)
    const { id } = created.body.application_credential
    const passwords = { user: { password: 'canary-new', original_password: 'canary-wrong' } }
    expect((await alt.call('POST', `${user}/password`, passwords)).status).toBe(401)
    for (const [session, path] of [
      [alt, '/audit'],
      [admin, `/mgmt/audit?project_id=${alt.project}`],
    ] as const) {
      const { text, body } = await session.call('GET', path)
      const row = body.audit.find(({ route }: { route: string }) => route?.endsWith('/application_credentials'))
      expect(row).toMatchObject({
        method: 'POST',
        status: 201,
        targets: { credentialId: id },
        remote_address: '127.0.0.1',
      })
      const refused = body.audit.find(({ route }: { route: string }) => route?.endsWith('/password'))
      expect(refused).toMatchObject({ status: 401, fields: ['user.password', 'user.original_password'] })
      expect(text).not.toContain('canary')
    }
  })
})
