import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { newCluster } from '../../../datastores/postgresql/cluster.ts'

/** A real PostgreSQL server of the npm engine on a loopback address, which can be killed and started again. */
export interface Server {
  url: string
  /** Runs a statement as the superuser. */
  query(text: string): Promise<pg.QueryResult>
  /** SIGKILL to the whole server: what it has not written is lost. */
  kill(): Promise<void>
  start(): Promise<void>
  remove(): Promise<void>
}

const owner = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined

export async function newServer(): Promise<Server> {
  const cluster = await newCluster()
  const { volume, engine, address, port } = cluster.context
  const data = join(volume, 'data')
  const url = () =>
    `postgres://os_maint:${encodeURIComponent(readFileSync(join(volume, 'os_maint.pw'), 'utf8'))}@${address}:${port}/postgres`
  let exited: Promise<unknown> = Promise.resolve()
  let pid = 0

  async function query(text: string): Promise<pg.QueryResult> {
    const client = new pg.Client({ connectionString: url() })
    client.on('error', () => {})
    try {
      await client.connect()
      return await client.query(text)
    } finally {
      await client.end().catch(() => {})
    }
  }

  /** Starts it until it answers: as long as children of a killed server hold its memory, a new one exits. */
  async function start(): Promise<void> {
    const settings = [`listen_addresses=${address}`, `port=${port}`, 'unix_socket_directories=', 'max_connections=60']
    const args = ['-D', data, ...settings.flatMap(setting => ['-c', setting])]
    for (;;) {
      const child = spawn(join(engine, 'bin', 'postgres'), args, { ...owner, cwd: '/', stdio: 'ignore' })
      pid = child.pid ?? 0
      exited = new Promise(resolve => child.once('exit', resolve))
      while (child.exitCode === null) {
        if (await query('SELECT 1').then(Boolean, () => false)) return
        await sleep(20)
      }
    }
  }

  await start()
  return {
    get url() {
      return url()
    },
    query,
    start,
    async kill() {
      // Its children end by themselves; they hold no lock that a new server would wait for.
      if (pid > 0) process.kill(pid, 'SIGKILL')
      await exited
      pid = 0
    },
    async remove() {
      if (pid > 0) process.kill(pid, 'SIGQUIT')
      await exited
      await cluster.remove()
    },
  }
}
