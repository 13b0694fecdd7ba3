import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Debian's RabbitMQ, started by hand on loopback ports with data of its own; it can be killed and started again. */
export interface RabbitServer {
  /** With the administrator's name and password. */
  url: string
  /** Without. */
  address: string
  /** By TLS, with name and password; its certificate (PEM) is its own authority. */
  secure: { url: string; ca: string }
  /** The management API, with name and password. */
  management: string
  /** SIGKILL to the server. */
  kill(): Promise<void>
  start(): Promise<void>
  remove(): Promise<void>
}

export const FOLDER = '/usr/lib/rabbitmq/lib'

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })
}

export async function newRabbit(): Promise<RabbitServer> {
  const base = mkdtempSync(join(tmpdir(), 'coffer-rabbit-'))
  const [port, managementPort, distribution, mapper, tlsPort] = await Promise.all([1, 2, 3, 4, 5].map(freePort))
  const password = randomBytes(12).toString('hex')
  const at = (name: string) => join(base, name)
  mkdirSync(at('home'))
  writeFileSync(at('home/.erlang.cookie'), randomBytes(20).toString('hex').toUpperCase(), { mode: 0o400 })
  spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=coffer'],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', at('tls.key'), '-out', at('tls.pem')],
  ])
  writeFileSync(at('plugins'), '[rabbitmq_management].')
  writeFileSync(
    at('rabbit.conf'),
    [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      `listeners.ssl.1 = 127.0.0.1:${tlsPort}`,
      `ssl_options.certfile = ${at('tls.pem')}`,
      `ssl_options.keyfile = ${at('tls.key')}`,
      'management.tcp.ip = 127.0.0.1',
      `management.tcp.port = ${managementPort}`,
      'default_user = admin',
      `default_pass = ${password}`,
      'log.console = false',
      'log.file.level = warning',
      'vm_memory_high_watermark.absolute = 512MB',
      'disk_free_limit.absolute = 10MB',
      '',
    ].join('\n'),
  )
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    HOME: at('home'),
    RABBITMQ_NODENAME: `coffer-${distribution}@localhost`,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: at('data'),
    RABBITMQ_LOG_BASE: at('log'),
    RABBITMQ_CONFIG_FILE: at('rabbit.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: at('plugins'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    ERL_EPMD_PORT: String(mapper),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none',
  }
  // Started by us, and not by the server, which would leave it behind.
  const epmd = spawn('epmd', ['-port', String(mapper), '-address', '127.0.0.1'], { env, stdio: 'ignore' })
  const program = join(FOLDER, '..', 'bin', 'rabbitmq-server')
  let child: ChildProcess | undefined
  let exited: Promise<unknown> = Promise.resolve()

  const management = `http://admin:${password}@127.0.0.1:${managementPort}`

  /** Listening, with its management. */
  async function ready(): Promise<boolean> {
    const headers = { authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}` }
    const answer = await fetch(`http://127.0.0.1:${managementPort}/api/health/checks/port-listener/${port}`, {
      headers,
      // A server that dies may never answer.
      signal: AbortSignal.timeout(2_000),
    })
      .then(({ status }) => status)
      .catch(() => 0)
    return answer === 200
  }

  async function start(): Promise<void> {
    const started = spawn(program, [], { env, cwd: base, stdio: 'ignore', detached: true })
    child = started
    exited = new Promise(resolve => started.once('exit', resolve))
    while (!(await ready())) {
      if (started.exitCode !== null) throw new Error(`rabbitmq-server ended: see ${at('log')}`)
      await sleep(100)
    }
  }

  async function kill(): Promise<void> {
    // The script, the virtual machine and its helpers are one group, which is ours.
    const pid = child?.pid ?? 0
    if (pid > 0 && child?.exitCode === null && child.signalCode === null) process.kill(-pid, 'SIGKILL')
    await exited
  }

  try {
    await start()
  } catch (error) {
    epmd.kill('SIGKILL')
    throw error
  }
  return {
    url: `amqp://admin:${password}@127.0.0.1:${port}`,
    address: `amqp://127.0.0.1:${port}`,
    secure: { url: `amqps://admin:${password}@127.0.0.1:${tlsPort}`, ca: readFileSync(at('tls.pem'), 'utf8') },
    management,
    kill,
    start,
    async remove() {
      await kill()
      epmd.kill('SIGKILL')
      rmSync(base, { recursive: true, force: true })
    },
  }
}
