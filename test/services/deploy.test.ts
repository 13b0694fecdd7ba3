import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { TASKMANAGER_TOPIC } from '../../lib/contracts/taskmanager.ts'
import { withOptimisticRetry } from '../../lib/kit/records.ts'
import { type SagaRecord, sagas } from '../../lib/kit/saga/saga.ts'
import { sqsQueue } from '../../lib/platform/queue/sqs/queue.ts'
import { dynamodbStore } from '../../lib/platform/store/dynamodb/store.ts'
import { pythonEnvironment } from '../../localstack/python.ts'
import { type Answer, processesOf, type Session, until } from '../e2e/coffer.ts'
import { random } from '../host/daemon-world.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { address, createActive, NETWORK, readLogin, type ShownInstance, startWorld, type World } from './clients.ts'
import {
  copyProjectWithChange,
  listResources,
  sls,
  startLocalstack,
  startOffline,
  visibleMessages,
} from './deployed.ts'

const ROOT = join(import.meta.dirname, '..', '..')
/** Requests per minute, verb and project: more than the clients here send, few enough to exceed. */
const RATE = 120

// What `sls deploy` creates on an emulator of AWS, from the first request to its removal. Each test continues the last.
describe('the deployed stack', () => {
  let world: World
  let demo: Session
  /** The environment of `sls`. */
  let operator: Record<string, string>
  let endpoint: string
  let unreadable: { id: string; operation: string }

  beforeAll(async () => {
    world = await startWorld(startLocalstack(RATE))
    operator = readLogin(join(world.coffer.dataDir, 'awsrc'))
    endpoint = operator['AWS_ENDPOINT_URL'] ?? ''
    demo = await world.coffer.login()
  }, 300_000)
  afterAll(() => world?.end(), 90_000)

  const connection = () => ({
    region: operator['AWS_REGION'] ?? '',
    endpoint,
    credentials: async () => ({ accessKeyId: 'test', secretAccessKey: 'test' }),
  })

  it('has a template without errors', () => {
    const template = join(ROOT, '.serverless', 'cloudformation-template-update-stack.json')
    const lint = join(pythonEnvironment('requirements-lint.txt'), 'bin', 'cfn-lint')
    expect(execFileSync(lint, ['--ignore-checks', 'W3005', 'W3037', '--', template], { encoding: 'utf8' })).toBe('')
  })

  it('refuses a request without a token or with one of another project', async () => {
    const flavors = (project: string) => `${world.coffer.base}/v1.0/${project}/flavors`
    const status = async (token?: string) =>
      (await fetch(flavors(demo.project), { headers: token === undefined ? {} : { 'X-Auth-Token': token } })).status
    expect([await status(), await status('wrong'), await status(demo.token)]).toEqual([401, 401, 200])
    const alt = await world.coffer.login('openrc-alt')
    expect((await demo.call('GET', flavors(alt.project))).status).toBe(403)
  })

  it('creates, serves and deletes a database for the real client', async () => {
    const shop = await createActive(world, world.demo, 'shop', '--databases cart --users ann:secret1')
    const rows = await world.python(
      {},
      `import psycopg
with psycopg.connect('${address(shop)} user=ann password=secret1 dbname=cart') as db:
    db.execute('CREATE TABLE line (item text)')
    db.execute("INSERT INTO line VALUES ('tea')")
    result = db.execute('SELECT item FROM line').fetchall()`,
    )
    expect(rows).toEqual({ result: [['tea']] })
    expect(await world.openstack(world.demo, `database user create ${shop.id} bob secret2`)).toMatchObject({ code: 0 })
    const users = await world.json<{ Name: string }[]>(world.demo, `database user list ${shop.id}`)
    expect(users.map(({ Name }) => Name)).toEqual(['ann', 'bob'])
    expect((await listResources(endpoint))['queues']).toContain(`coffer-local-guest-${shop.id}-1`)

    expect(await world.openstack(world.demo, `database instance delete ${shop.id}`)).toMatchObject({ code: 0 })
    await until('end', async () => (await demo.call('GET', `/instances/${shop.id}`)).status === 404)
    expect((await listResources(endpoint))['queues']?.join()).not.toContain('guest')
    expect(processesOf(world.coffer.dataDir).filter(({ args }) => /postgres|guest-agent/.test(args))).toEqual([])
    expect(existsSync(join(world.coffer.dataDir, 'volumes', `volume-${shop.id}-1`))).toBe(false)
  })

  it('accepts a message whose operation cannot be decrypted', async () => {
    // The machine's daemon is stopped, so that the create waits while its request is damaged.
    const { pid } = JSON.parse(readFileSync(join(world.coffer.dataDir, 'host.pid'), 'utf8'))
    expect(pid).toBeGreaterThan(1)
    process.kill(pid, 'SIGSTOP')
    const store = dynamodbStore({ clock: realClock, random, connection: connection(), table: 'coffer-local' })
    const queue = sqsQueue({ clock: realClock, connection: connection(), prefix: 'coffer-local-' })
    try {
      const command = `database instance create lost --flavor 1 --size 1 --nic net-id=${NETWORK} --users ann:secret1`
      const { id } = await world.json<ShownInstance>(world.demo, command)
      const [operation] = (await demo.call('GET', `/instances/${id}/operations`)).body.operations
      unreadable = { id, operation: operation.id }
      await withOptimisticRetry(store, async () => {
        const item = await sagas.get(store, demo.project, operation.id)
        if (!item) throw new Error('there is no operation')
        return {
          changes: [sagas.replace(item, { ...item.body, request: damagePasswords(item.body) })],
          result: undefined,
        }
      })
      const input = { project: demo.project, instance_id: id, operation_id: operation.id }
      const body = JSON.stringify({ method: 'create_instance', input, requestId: 'req-poison' })
      await queue.send(TASKMANAGER_TOPIC, [{ body }])
    } finally {
      process.kill(pid, 'SIGCONT')
      await store.close()
      await queue.close()
    }
  })

  it("answers 413 with Retry-After past a project's limit", async () => {
    const alt = await world.coffer.login('openrc-alt')
    const answers: Answer[] = []
    // The emulator has a process for each concurrent request.
    const caller = async () => {
      while (answers.every(({ status }) => status === 200) && answers.length < 2 * RATE) {
        answers.push(await alt.call('GET', '/flavors'))
      }
    }
    await Promise.all(Array.from({ length: 4 }, caller))
    const refused = answers.find(({ status }) => status !== 200)
    expect([answers.length > RATE, refused?.status]).toEqual([true, 413])
    expect(refused?.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
    expect(refused?.body).toMatchObject({ overLimit: { code: 413 } })
  })

  it('is served by sls offline from the same serverless.yml, on the same table and queues', async () => {
    const running = await startOffline(operator)
    try {
      const login = { ...world.demo, OS_AUTH_URL: `${running.base}/identity/v3` }
      const flavors = await world.json<{ Name: string }[]>(login, 'database flavor list')
      expect(flavors.map(({ Name }) => Name)).toContain('db.tiny')
      const listedInstances = await world.json<{ ID: string }[]>(login, 'database instance list')
      expect(listedInstances.map(({ ID }) => ID)).toEqual([unreadable.id])
      expect((await fetch(`${running.base}/v1.0/${demo.project}/flavors`)).status).toBe(401)
    } finally {
      await running.stop()
    }
  })

  it('answers with the new code when a changed function is deployed', async () => {
    const health = async (): Promise<{ status: string }> =>
      (await fetch(`${world.coffer.base}/healthz`)).json() as Promise<{ status: string }>
    expect(await health()).toEqual({ status: 'ok' })
    const folder = join(world.coffer.dataDir, 'changed')
    const project = copyProjectWithChange(folder, 'lib/versions/routes.ts', "{ status: 'ok' }", "{ status: 'changed' }")
    const deployed = await sls(project, operator, 'deploy', '--stage', 'local')
    expect(deployed).toMatchObject({ code: 0 })
    await until('new code', async () => (await health()).status === 'changed')
    expect((await demo.call('GET', '/flavors')).status).toBe(200)
  })

  it('moves that message to the DLQ, where it stays, and ends its operation in ERROR', async () => {
    const { id, operation } = unreadable
    const deadLetters = () => visibleMessages(endpoint, 'coffer-local-taskmanager-dlq')
    const hasOperation = (bodies: string[]) => bodies.some(body => JSON.parse(body).input.operation_id === operation)
    await until('dead letter', async () => hasOperation(await deadLetters()), 90_000)
    const failed = await until(
      'failure',
      async () => {
        const [last] = (await demo.call('GET', `/instances/${id}/operations`)).body.operations
        return last.status === 'FAILED' ? last : undefined
      },
      150_000,
    )
    expect(failed).toMatchObject({ id: operation, error: expect.stringContaining('cannot be read') })
    const instance = await world.json<ShownInstance>(world.demo, `database instance show ${id}`)
    expect(instance).toMatchObject({ status: 'ERROR' })
    expect(await world.openstack(world.demo, `database instance delete ${id}`)).toMatchObject({ code: 0 })
    await until('end', async () => (await demo.call('GET', `/instances/${id}`)).status === 404)
    expect(hasOperation(await deadLetters())).toBe(true)
  })

  it('leaves nothing but its master key when it is removed', async () => {
    expect(await sls(ROOT, operator, 'remove', '--stage', 'local')).toMatchObject({ code: 0 })
    expect(await listResources(endpoint)).toEqual({ parameters: ['/coffer/local/master-key'] })
  })
})

const damagePasswords = ({ request }: SagaRecord): unknown =>
  JSON.parse(JSON.stringify(request).replaceAll(/"password":"[^"]*"/g, '"password":"x"'))
