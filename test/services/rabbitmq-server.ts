import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../localstack/emulator.ts'

/** Debian's RabbitMQ on loopback ports with its own data folder; it can be killed and started again. */
export interface RabbitServer {
  /** The URL with the administrator's name and password. */
  url: string
  /** The URL without credentials. */
  address: string
  /** The URL by TLS, with name and password, and the self-signed certificate (PEM). */
  secure: { url: string; ca: string }
  /** The URL of the management API, with name and password. */
  management: string
  /** Kills the server by SIGKILL. */
  kill(): Promise<void>
  start(): Promise<void>
  remove(): Promise<void>
}

export const RABBITMQ_LIB = '/usr/lib/rabbitmq/lib'

export async function startRabbit(): Promise<RabbitServer> {
  const base = mkdtempSync(join(tmpdir(), 'coffer-rabbit-'))
  const [port, managementPort, distribution, mapper, tlsPort] = await Promise.all([1, 2, 3, 4, 5].map(freePort))
  const password = randomBytes(12).toString('hex')
  const path = (name: string) => join(base, name)
  mkdirSync(path('home'))
  writeFileSync(path('home/.erlang.cookie'), randomBytes(20).toString('hex').toUpperCase(), { mode: 0o400 })
  spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=coffer'],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', path('tls.key'), '-out', path('tls.pem')],
  ])
  writeFileSync(path('plugins'), '[rabbitmq_management].')
  writeFileSync(
    path('rabbit.conf'),
    [
      `listeners.tcp.1 = 127.0.0.1:${port}`,
      `listeners.ssl.1 = 127.0.0.1:${tlsPort}`,
      `ssl_options.certfile = ${path('tls.pem')}`,
      `ssl_options.keyfile = ${path('tls.key')}`,
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
    HOME: path('home'),
    RABBITMQ_NODENAME: `coffer-${distribution}@localhost`,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_MNESIA_BASE: path('data'),
    RABBITMQ_LOG_BASE: path('log'),
    RABBITMQ_CONFIG_FILE: path('rabbit.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: path('plugins'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    ERL_EPMD_PORT: String(mapper),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none',
  }
  // Started here: if the server starts epmd, it leaves it running.
  const epmd = spawn('epmd', ['-port', String(mapper), '-address', '127.0.0.1'], { env, stdio: 'ignore' })
  const program = join(RABBITMQ_LIB, '..', 'bin', 'rabbitmq-server')
  let child: ChildProcess | undefined
  let exited: Promise<unknown> = Promise.resolve()

  const management = `http://admin:${password}@127.0.0.1:${managementPort}`

  /** Whether the server listens and its management answers. */
  async function isReady(): Promise<boolean> {
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
    const launched = spawn(program, [], { env, cwd: base, stdio: 'ignore', detached: true })
    child = launched
    exited = new Promise(resolve => launched.once('exit', resolve))
    while (!(await isReady())) {
      if (launched.exitCode !== null) throw new Error(`rabbitmq-server ended: see ${path('log')}`)
      await sleep(100)
    }
  }

  async function kill(): Promise<void> {
    // The script, the virtual machine and its helpers are one process group.
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
    secure: { url: `amqps://admin:${password}@127.0.0.1:${tlsPort}`, ca: readFileSync(path('tls.pem'), 'utf8') },
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
