import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertDescribed } from '../openapi/answers.ts'

const ROOT = join(import.meta.dirname, '..', '..')

/** An answer of the API. */
export interface Answer {
  status: number
  headers: Headers
  /** Parsed JSON; undefined for an empty body. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever came
  body: any
  text: string
}

/** One user of the API, logged in. */
export interface Session {
  project: string
  token: string
  /** Calls a path after `/v1.0/{project}` (or any whole URL); a body that is a string is sent as it is. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
}

/** A running local cloud in a data directory of its own. */
export interface Coffer {
  dataDir: string
  base: string
  /** The control plane's process (of `local/main.ts`, not of npm). */
  pid: number
  output(): string
  login(file?: 'openrc' | 'openrc-admin' | 'openrc-alt'): Promise<Session>
  /** SIGTERM, and its exit code. */
  stop(): Promise<number | null>
  /** SIGKILL to the control plane alone. */
  kill(): Promise<void>
}

/** A directory that every uid can reach. */
export function tempDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'coffer-test-'))
  chmodSync(dir, 0o755)
  return dir
}

export interface Started {
  child: ChildProcess
  output(): string
  exited: Promise<number | null>
}

/** Starts `local/main.ts` with these arguments, on the Node.js that runs the tests. */
export function launch(args: string[], env: Record<string, string> = {}): Started {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(ROOT, 'local', 'main.ts'), ...args],
    {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      // As `bin/coffer.mjs` has it.
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        NODE_COMPILE_CACHE: join(ROOT, 'node_modules', '.cache', 'v8'),
        MALLOC_ARENA_MAX: '1',
        ...env,
      },
    },
  )
  return startedAs(child)
}

/** Follows a process that was started. */
export function startedAs(child: ChildProcess): Started {
  let text = ''
  child.stdout?.on('data', chunk => {
    text += chunk
  })
  child.stderr?.on('data', chunk => {
    text += chunk
  })
  const exited = new Promise<number | null>(resolve => child.once('exit', code => resolve(code)))
  return { child, output: () => text, exited }
}

/** Starts a local cloud and waits until it is ready, at most so long. */
export async function startCoffer(
  dataDir = join(tempDir(), 'data'),
  args: string[] = [],
  how: (args: string[]) => Started = launch,
  ms = 60_000,
): Promise<Coffer> {
  const started = how(['--data-dir', dataDir, '--port', '0', '--rate', '0', ...args])
  const { child, output, exited } = started
  const isReady = async () => {
    if (child.exitCode !== null) throw new Error(`coffer ended:\n${output()}`)
    return /^ready (http:\S+)$/m.exec(output())?.[1]
  }
  const ready = await until('ready line', isReady, ms)
  return {
    dataDir,
    base: ready,
    pid: child.pid ?? 0,
    output,
    login: (file = 'openrc') => login(join(dataDir, file)),
    async stop() {
      child.kill('SIGTERM')
      return exited
    },
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** A session of the user whose `openrc` that file is. */
export async function login(path: string): Promise<Session> {
  const rc = Object.fromEntries(
    [...readFileSync(path, 'utf8').matchAll(/^export (\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
  )
  const domain = { name: 'Default' }
  const user = { name: rc['OS_USERNAME'], domain, password: rc['OS_PASSWORD'] }
  const scope = { project: { name: rc['OS_PROJECT_NAME'], domain } }
  const answer = await request('POST', `${rc['OS_AUTH_URL']}/auth/tokens`, {
    auth: { identity: { methods: ['password'], password: { user } }, scope },
  })
  const token = answer.headers.get('x-subject-token') ?? ''
  const project = answer.body.token.project.id
  const base = rc['OS_AUTH_URL']?.replace('/identity/v3', '')
  return {
    project,
    token,
    call: (method, path, body, headers = {}) =>
      request(method, path.startsWith('http') ? path : `${base}/v1.0/${project}${path}`, body, {
        'x-auth-token': token,
        ...headers,
      }),
  }
}

/** Sends a request. Throws if its answer is none that openapi.json describes. */
export async function request(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const ask = () =>
    fetch(url, {
      method,
      headers: { ...(text !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(text !== undefined && { body: text }),
    })
  // A kept connection may be closed just as it is used again: what changes nothing is asked once more.
  const response = await ask().catch(error => (method === 'GET' ? ask() : Promise.reject(error)))
  const got = await response.text()
  let parsed: unknown
  try {
    parsed = got === '' ? undefined : JSON.parse(got)
  } catch {
    parsed = got
  }
  assertDescribed(method, url, { status: response.status, type: response.headers.get('content-type'), body: parsed })
  return { status: response.status, headers: response.headers, body: parsed, text: got }
}

/** Asks again and again until there is an answer; throws after `ms`. */
export async function until<T>(what: string, ask: () => Promise<T | undefined | false>, ms = 60_000): Promise<T> {
  const end = Date.now() + ms
  for (;;) {
    const found = await ask()
    if (found !== undefined && found !== false) return found
    if (Date.now() > end) throw new Error(`no ${what} within ${ms} ms`)
    await sleep(20)
  }
}

/** Creates an instance and answers it once it is ACTIVE and HEALTHY. */
export async function createInstance(session: Session, more: Record<string, unknown> = {}): Promise<Answer['body']> {
  const asked = await session.call('POST', '/instances', {
    instance: { name: 'shop', flavorRef: 1, volume: { size: 1 }, ...more },
  })
  if (asked.status !== 200) throw new Error(`create answered ${asked.status}: ${asked.text}`)
  return active(session, asked.body.instance.id)
}

/** The instance, once it is ACTIVE and HEALTHY. Throws if it is in ERROR. */
export function active(session: Session, id: string, ms?: number): Promise<Answer['body']> {
  const what = `ACTIVE instance ${id}`
  return until(
    what,
    async () => {
      const { body } = await session.call('GET', `/instances/${id}`)
      if (body.instance?.status === 'ERROR')
        throw new Error(`instance in ERROR: ${JSON.stringify(body.instance.fault)}`)
      return body.instance?.status === 'ACTIVE' && body.instance.operating_status === 'HEALTHY'
        ? body.instance
        : undefined
    },
    ms,
  )
}

/** Deletes an instance and waits until it is gone. */
export async function deleteInstance(session: Session, id: string): Promise<void> {
  const asked = await session.call('DELETE', `/instances/${id}`)
  if (asked.status !== 202) throw new Error(`delete answered ${asked.status}: ${asked.text}`)
  await gone(session, id)
}

export async function gone(session: Session, id: string, ms?: number): Promise<void> {
  await until(`end of instance ${id}`, async () => (await session.call('GET', `/instances/${id}`)).status === 404, ms)
}

/** The processes that have to do with a data directory, by what /proc tells of them. */
export function processesOf(dataDir: string): { pid: number; args: string }[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(name => ({ pid: Number(name), args: argsOf(name), cwd: linkOf(`/proc/${name}/cwd`) }))
    .filter(({ args, cwd }) => args.includes(dataDir) || cwd.startsWith(dataDir))
    .map(({ pid, args }) => ({ pid, args }))
}

function argsOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/** Ends whatever is left of a local cloud, by its pids, and removes its directory. */
export async function wipe(dataDir: string): Promise<void> {
  await until('end of all processes', async () => {
    const left = processesOf(dataDir)
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended meanwhile.
      }
    }
    return left.length === 0
  })
  rmSync(dataDir, { recursive: true, force: true })
}
