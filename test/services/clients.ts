import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { expect } from '@jest/globals'
import { pythonEnvironment } from '../../localstack/python.ts'
import { type Coffer, processesOf, startCoffer, until, wipe } from '../e2e/coffer.ts'

/** Where `npm run test:services` installs the clients. */
export const PROGRAMS = join(pythonEnvironment('requirements.txt'), 'bin')

/** What an openrc file exports. */
export type Login = Record<string, string>

/** How a program ended and what it printed. */
export interface ProgramResult {
  code: number
  out: string
  err: string
}

/** What Python code assigned to `result`, or the exception that ended it. */
export interface PythonResult {
  // biome-ignore lint/suspicious/noExplicitAny: tests read results of any shape
  result?: any
  error?: string
  message?: string
}

/** The real clients, in a process that has imported them already (clients.py). One request at a time. */
export interface Clients {
  /** Runs an `openstack` command. A string is split at spaces; an array is passed unchanged. */
  openstack(login: Login, command: string | string[]): Promise<ProgramResult>
  /** Runs an `openstack` command, and returns what it prints as JSON. Throws if it fails. */
  json<T = Record<string, unknown>>(login: Login, command: string): Promise<T>
  /** Runs Python code, which assigns its result to `result`. */
  python(login: Login, code: string): Promise<PythonResult>
  stop(): void
}

/** This process's environment with the login's OpenStack variables instead of its own. */
function environment(login: Login): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('OS_'))
  return { ...Object.fromEntries(inherited), PATH: `${PROGRAMS}:${process.env['PATH']}`, ...login }
}

export function startClients(): Clients {
  const child = spawn(join(PROGRAMS, 'python'), [join(import.meta.dirname, 'clients.py')], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: environment({}),
  })
  const request = lineClient(child)
  const openstack = async (login: Login, command: string | string[]): Promise<ProgramResult> =>
    (await request({ env: login, argv: typeof command === 'string' ? command.split(' ') : command })) as ProgramResult
  return {
    openstack,
    async json<T>(login: Login, command: string): Promise<T> {
      const { code, out, err } = await openstack(login, `${command} -f json`)
      if (code !== 0) throw new Error(`openstack ${command} ended with ${code}: ${err}`)
      return JSON.parse(out) as T
    },
    python: async (login, code) => (await request({ env: login, code })) as PythonResult,
    stop: () => child.stdin?.end(),
  }
}

/** A function that sends a request as a line of JSON, and returns the next line. Requests wait for their turn. */
function lineClient({ stdin, stdout, stderr }: ChildProcess): (request: object) => Promise<unknown> {
  if (!stdin || !stdout || !stderr) throw new Error('the process has no pipes')
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
  let errors = ''
  stderr.on('data', chunk => {
    errors += chunk
  })
  let last: Promise<unknown> = Promise.resolve()
  const exchange = async (request: object) => {
    stdin.write(`${JSON.stringify(request)}\n`)
    const line = await lines.next()
    if (line.done) throw new Error(`the clients ended:\n${errors}`)
    return JSON.parse(line.value) as unknown
  }
  return request => {
    const turn = last.then(() => exchange(request))
    last = turn.catch(() => undefined)
    return turn
  }
}

/** Runs a script in bash, with the clients' programs on its path and without a login. */
export function bash(script: string): Promise<ProgramResult> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    env: environment({}),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return programResult(child)
}

/** Waits for the end of a program whose output is piped. Rejects if it cannot be started. */
export function programResult(child: ChildProcessByStdio<null, Readable, Readable>): Promise<ProgramResult> {
  const result: ProgramResult = { code: -1, out: '', err: '' }
  child.stdout.on('data', chunk => {
    result.out += chunk
  })
  child.stderr.on('data', chunk => {
    result.err += chunk
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => resolve({ ...result, code: code ?? -1 }))
  })
}

/** A running local cloud, its three logins, and the clients. */
export interface World extends Clients {
  coffer: Coffer
  demo: Login
  admin: Login
  alt: Login
  end(): Promise<void>
}

// With a limit, so that clients have one to show; far more than they request.
const localCloud = () => startCoffer(undefined, ['--rate', '20000'])

export async function startWorld(start: () => Promise<Coffer> = localCloud): Promise<World> {
  const coffer = await start()
  const clients = startClients()
  const login = (file: string) => readLogin(join(coffer.dataDir, file))
  return {
    ...clients,
    coffer,
    demo: login('openrc'),
    admin: login('openrc-admin'),
    alt: login('openrc-alt'),
    async end() {
      clients.stop()
      await endCoffer(coffer)
    },
  }
}

/** Ends a local cloud and removes its data. Throws if it fails to end, or leaves a process behind. */
export async function endCoffer(coffer: Coffer): Promise<void> {
  const code = await coffer.stop()
  const remaining = processesOf(coffer.dataDir)
  await wipe(coffer.dataDir)
  if (code === 0 && remaining.length === 0) return
  throw new Error(
    `coffer ended with ${code}, left processes ${JSON.stringify(remaining)} and printed\n${coffer.output().slice(-3000)}`,
  )
}

/** The variables that an openrc file exports. */
export function readLogin(path: string): Login {
  return Object.fromEntries(
    [...readFileSync(path, 'utf8').matchAll(/^export (\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  )
}

/** What `openstack database instance show -f json` prints. */
export interface ShownInstance {
  id: string
  name: string
  status: string
  operating_status: string
  ip: string
  addresses: { address: string; type: string; port?: number }[]
  [field: string]: unknown
}

/** Creates an instance with the command line, and returns what `show` prints once it is ACTIVE and HEALTHY. */
export async function createActive(world: World, login: Login, name: string, options = ''): Promise<ShownInstance> {
  const command = `database instance create ${name} --flavor 1 --size 1 --nic net-id=${NETWORK} ${options}`.trim()
  const { id } = await world.json<ShownInstance>(login, command)
  return until(`ACTIVE instance ${name}`, async () => {
    const instance = await world.json<ShownInstance>(login, `database instance show ${id}`)
    if (instance.status === 'ERROR') throw new Error(`${name} is in ERROR: ${JSON.stringify(instance)}`)
    return instance.status === 'ACTIVE' && instance.operating_status === 'HEALTHY' ? instance : undefined
  })
}

/** Coffer has no networks: it accepts any id. */
export const NETWORK = '0f5d9d7e-5a0e-4b9e-8f43-4c0f4dd0ab0a'

/** Host and port of the instance, as in a connection string of libpq. */
export function address({ addresses }: Pick<ShownInstance, 'addresses'>): string {
  const [first] = addresses
  return `host=${first?.address} port=${first?.port ?? 5432}`
}

/** Runs an `openstack` command that must succeed without a warning; returns what it prints. */
export async function run(world: World, login: Login, command: string | string[]): Promise<string> {
  const { code, out, err } = await world.openstack(login, command)
  expect({ command, code, err }).toEqual({ command, code: 0, err: '' })
  return out
}

/** Runs one SQL statement on the instance. `connection` has user, password and dbname as libpq writes them. */
export function query(
  world: World,
  instance: Pick<ShownInstance, 'addresses'>,
  connection: string,
  statement: string,
): Promise<PythonResult> {
  return world.python(
    {},
    `import psycopg
with psycopg.connect('${address(instance)} ${connection}', autocommit=True) as connection:
    cursor = connection.execute(${JSON.stringify(statement)})
    result = cursor.fetchall() if cursor.description else None`,
  )
}
