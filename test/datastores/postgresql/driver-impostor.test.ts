import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { messageOf } from '../../../lib/kit/errors.ts'
import { MD5_SALT } from '../../kit/postgresql/fake-server.ts'
import { type Cluster, newCluster } from './cluster.ts'

jest.setTimeout(60_000)

/** Another tenant's uid; without root the impostor is of our own, which changes nothing about what it can do. */
const UID = process.getuid?.() === 0 ? '65533' : ''

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

interface Impostor {
  lines: string[]
  process: ChildProcess
  listening: Promise<unknown>
}

function startImpostor({ address, port }: Cluster['context']): Impostor {
  const program = spawn(process.execPath, [join(import.meta.dirname, 'impostor.ts'), address, String(port), UID])
  const lines: string[] = []
  const output = createInterface(program.stdout)
  output.on('line', line => lines.push(line))
  return { lines, process: program, listening: once(output, 'line') }
}

describe('a program of another tenant that takes the address of a database while that is down', () => {
  let cluster: Cluster
  let impostor: Impostor
  const secret = (role: string) => readFileSync(join(cluster.context.volume, `${role}.pw`), 'utf8')
  const ann = { name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }
  /** The roles whose password is in the text, as it is or as a hash for the impostor's salt. */
  const rolesOf = (text: string) =>
    ['os_admin', 'os_maint'].filter(role => {
      const hash = md5(md5(secret(role) + role) + MD5_SALT)
      return text.includes(secret(role)) || text.includes(hash)
    })

  beforeAll(async () => {
    cluster = await newCluster()
    await cluster.driver.prepare({ datastore_version: '18', databases: [{ name: 'cart' }], users: [ann] })
    const session = await cluster.connect('ann', 'pw1', 'cart')
    await session.query('CREATE TABLE items AS SELECT generate_series(1, 100) AS n')
    const ended = cluster.driver.exited(new AbortController().signal)
    impostor = startImpostor(cluster.context)
    process.kill(cluster.pid(), 'SIGKILL')
    await Promise.all([ended, impostor.listening])
  })
  afterAll(async () => {
    impostor?.process.kill('SIGKILL')
    await cluster?.remove()
  })

  it('is told nothing by the agent, whatever it asks for and whatever verb is called', async () => {
    const { driver } = cluster
    const verbs = [
      () => driver.list_users({ limit: 9 }),
      () => driver.list_databases({ limit: 9 }),
      () => driver.is_root_enabled({}),
      () => driver.create_database({ databases: [{ name: 'later' }] }),
      () => driver.create_user({ users: [{ name: 'eve', password: 'pw2', databases: [] }] }),
      () => driver.change_passwords({ users: [{ name: 'ann', password: 'pw3' }] }),
      () => driver.enable_root_with_password({ root_password: 'pw4' }),
      () => driver.update_access({ allowed_cidrs: ['10.0.0.0/8'] }),
      () => driver.delete_user({ name: 'ann' }),
    ]
    const outcomes: unknown[] = []
    for (const verb of [...verbs, ...verbs]) outcomes.push(await verb().catch((error: unknown) => error))
    expect(rolesOf(impostor.lines.join('\n'))).toEqual([])
    expect(impostor.lines.slice(1)).toEqual([])
    // So that the agent waits for its server, and repeats the command then.
    expect(outcomes.map(outcome => driver.isConnectionLost?.(outcome))).toEqual(outcomes.map(() => true))
  })

  it('leaves the data whole, and nobody logs in as an agent over the network', async () => {
    impostor.process.stdin?.end()
    await once(impostor.process, 'exit')
    await cluster.driver.start()
    await cluster.driver.update_access({ allowed_cidrs: [] })
    const session = await cluster.connect('ann', 'pw1', 'cart')
    expect((await session.query('SELECT count(*)::int FROM items')).rows).toEqual([{ count: 100 }])
    expect((await cluster.driver.list_users({ limit: 9 })).items).toEqual([{ ...ann, password: undefined, host: '%' }])
    expect(await cluster.driver.is_root_enabled({})).toBe(false)
    for (const role of ['os_admin', 'os_maint', 'os_former']) {
      const password = role === 'os_former' ? 'x' : secret(role)
      const outcome = await cluster.connect(role, password, 'postgres').then(() => 'admitted', messageOf)
      expect(outcome).toMatch(/pg_hba.conf rejects connection/)
    }
  })
})
