import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Coffer, processesOf, startCoffer, until, wipe } from '../e2e/coffer.ts'

const ROOT = join(import.meta.dirname, '..', '..')
/** Where `npm run test:services` has put the clients. */
export const PROGRAMS = join(ROOT, '.venv', 'bin')

/** What an openrc file exports. */
export type Login = Record<string, string>

/** How a program ended and what it printed. */
export interface Ran {
  code: number
  out: string
  err: string
}

/** What Python code left in `result`, or the exception that ended it. */
export interface Answer {
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever came
  result?: any
  error?: string
  message?: string
}

/** The real clients in a process that has imported them already (clients.py). One request at a time. */
export interface Clients {
  /** The `openstack` command line, as a shell would split it at spaces. An array is taken as it is. */
  openstack(login: Login, command: string | string[]): Promise<Ran>
  /** Its answer as JSON. Throws if it fails. */
  json<T = Record<string, unknown>>(login: Login, command: string): Promise<T>
  /** Runs Python, which leaves its answer in `result`. */
  python(login: Login, code: string): Promise<Answer>
  stop(): void
}

/** Variables of a login and everything else a program needs; none of the caller's own OpenStack variables. */
function environment(login: Login): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('OS_'))
  return { ...Object.fromEntries(own), PATH: `${PROGRAMS}:${process.env['PATH']}`, ...login }
}

export function startClients(): Clients {
  const child = spawn(join(PROGRAMS, 'python'), [join(import.meta.dirname, 'clients.py')], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: environment({}),
  })
  const ask = asking(child)
  const openstack = async (login: Login, command: string | string[]): Promise<Ran> =>
    (await ask({ env: login, argv: typeof command === 'string' ? command.split(' ') : command })) as Ran
  return {
    openstack,
    async json<T>(login: Login, command: string): Promise<T> {
      const { code, out, err } = await openstack(login, `${command} -f json`)
      if (code !== 0) throw new Error(`openstack ${command} ended with ${code}: ${err}`)
      return JSON.parse(out) as T
    },
    python: async (login, code) => (await ask({ env: login, code })) as Answer,
    stop: () => child.stdin?.end(),
  }
}

/** Sends a line, and answers the next line that comes. */
function asking({ stdin, stdout, stderr }: ChildProcess): (request: object) => Promise<unknown> {
  if (!stdin || !stdout || !stderr) throw new Error('the process has no pipes')
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
  let said = ''
  stderr.on('data', chunk => {
    said += chunk
  })
  let last: Promise<unknown> = Promise.resolve()
  const once = async (request: object) => {
    stdin.write(`${JSON.stringify(request)}\n`)
    const line = await lines.next()
    if (line.done) throw new Error(`the clients ended:\n${said}`)
    return JSON.parse(line.value) as unknown
  }
  return request => {
    const mine = last.then(() => once(request))
    last = mine.catch(() => undefined)
    return mine
  }
}

/** Runs a script in bash, with the clients' programs on its path and nothing of the caller's login. */
export function bash(script: string): Promise<Ran> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
    env: environment({}),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ran: Ran = { code: -1, out: '', err: '' }
  child.stdout.on('data', chunk => {
    ran.out += chunk
  })
  child.stderr.on('data', chunk => {
    ran.err += chunk
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => resolve({ ...ran, code: code ?? -1 }))
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

// A limit, so that clients have one to show, and far above what they ask.
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
      const code = await coffer.stop()
      const left = processesOf(coffer.dataDir)
      await wipe(coffer.dataDir)
      if (code === 0 && left.length === 0) return
      throw new Error(
        `coffer ended with ${code}, left ${JSON.stringify(left)} and said\n${coffer.output().slice(-3000)}`,
      )
    },
  }
}

/** The variables that an openrc file exports. */
export function readLogin(path: string): Login {
  return Object.fromEntries(
    [...readFileSync(path, 'utf8').matchAll(/^export (\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  )
}

/** What `openstack database instance show -f json` tells. */
export interface Shown {
  id: string
  name: string
  status: string
  operating_status: string
  ip: string
  addresses: { address: string; type: string; port?: number }[]
  [field: string]: unknown
}

/** Creates an instance with the command line, and shows it once it is ACTIVE and HEALTHY. */
export async function create(world: World, login: Login, name: string, options = ''): Promise<Shown> {
  const command = `database instance create ${name} --flavor 1 --size 1 --nic net-id=${NETWORK} ${options}`.trim()
  const { id } = await world.json<Shown>(login, command)
  return until(`ACTIVE instance ${name}`, async () => {
    const shown = await world.json<Shown>(login, `database instance show ${id}`)
    if (shown.status === 'ERROR') throw new Error(`${name} is in ERROR: ${JSON.stringify(shown)}`)
    return shown.status === 'ACTIVE' && shown.operating_status === 'HEALTHY' ? shown : undefined
  })
}

/** Coffer has no networks: it takes any. */
export const NETWORK = '0f5d9d7e-5a0e-4b9e-8f43-4c0f4dd0ab0a'

/** Where a PostgreSQL client finds the instance, as libpq writes it. */
export function address({ addresses }: Pick<Shown, 'addresses'>): string {
  const [first] = addresses
  return `host=${first?.address} port=${first?.port ?? 5432}`
}
