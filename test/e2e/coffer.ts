import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { assertDescribed } from '../openapi/answers.ts'
import { tempDir } from './temp-dir.ts'

const ROOT = join(import.meta.dirname, '..', '..')

/** A response of the API. */
export interface Answer {
  status: number
  headers: Headers
  /** Parsed JSON; text if it is not JSON; undefined for an empty body. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read whatever came
  body: any
  text: string
}

/** A user of the API who is logged in to one project. */
export interface Session {
  project: string
  token: string
  /** Calls a path below `/v1.0/{project}`, or a complete URL. A body that is a string is sent as it is. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
}

export type OpenrcFile = 'openrc' | 'openrc-admin' | 'openrc-alt'

/** A running local cloud with its own data directory. */
export interface Coffer {
  dataDir: string
  base: string
  /** The process of the control plane (`local/main.ts`, not npm). */
  pid: number
  /** What the control plane has printed so far. */
  output(): string
  login(file?: OpenrcFile): Promise<Session>
  /** Sends SIGTERM and returns the exit code. */
  stop(): Promise<number | null>
  /** Sends SIGKILL to the control plane only; the host daemon and the databases go on. */
  kill(): Promise<void>
}

/** A process that a test has started, and what it prints. */
export interface LaunchedProcess {
  child: ChildProcess
  output(): string
  exited: Promise<number | null>
}

/** Starts `local/main.ts` with these arguments, on the Node.js that runs the tests. */
export function launch(args: string[]): LaunchedProcess {
  return followProcess(spawnMain(args, 'pipe'))
}

/** The same with its output in a file, for a process that outlives the one that starts it or is read by several. */
export function launchInto(args: string[], file: string): LaunchedProcess {
  const fd = openSync(file, 'a')
  const { child, exited } = followProcess(spawnMain(args, fd))
  closeSync(fd)
  return { child, exited, output: () => readFileSync(file, 'utf8') }
}

function spawnMain(args: string[], out: 'pipe' | number): ChildProcess {
  const program = ['--disable-warning=ExperimentalWarning', join(ROOT, 'local', 'main.ts')]
  return spawn(process.execPath, [...program, ...args], {
    cwd: ROOT,
    stdio: ['ignore', out, out],
    // The same environment as in `bin/coffer.mjs`.
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      NODE_COMPILE_CACHE: join(ROOT, 'node_modules', '.cache', 'v8'),
      MALLOC_ARENA_MAX: '1',
    },
  })
}

/** Collects the output and the exit code of a process. */
export function followProcess(child: ChildProcess): LaunchedProcess {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', chunk => {
      text += chunk
    })
  }
  const exited = new Promise<number | null>(resolve => child.once('exit', code => resolve(code)))
  return { child, output: () => text, exited }
}

/** Starts a local cloud and waits until it is ready. Throws if it ends before, or after `ms`. */
export async function startCoffer(
  dataDir = join(tempDir(), 'data'),
  args: string[] = [],
  start: (args: string[]) => LaunchedProcess = launch,
  ms = 60_000,
): Promise<Coffer> {
  const { child, output, exited } = start(['--data-dir', dataDir, '--port', '0', '--rate', '0', ...args])
  const base = await until(
    'ready line',
    async () => {
      if (child.exitCode !== null) throw new Error(`coffer ended:\n${output()}`)
      return /^ready (http:\S+)$/m.exec(output())?.[1]
    },
    ms,
  )
  return {
    dataDir,
    base,
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

/** Logs in as the user of an `openrc` file. */
export function login(path: string): Promise<Session> {
  const variables = [...readFileSync(path, 'utf8').matchAll(/^export (\w+)=(.*)$/gm)]
  const rc = Object.fromEntries(variables.map(([, name, value]) => [name, value ?? '']))
  const { OS_AUTH_URL = '', OS_USERNAME = '', OS_PASSWORD = '', OS_PROJECT_NAME = '' } = rc
  const base = OS_AUTH_URL.replace('/identity/v3', '')
  return loginAs(base, { user: OS_USERNAME, password: OS_PASSWORD, project: OS_PROJECT_NAME })
}

/** Logs in to a project with a password. */
export async function loginAs(
  base: string,
  { user, password, project }: { user: string; password: string; project: string },
): Promise<Session> {
  const domain = { name: 'Default' }
  const identity = { methods: ['password'], password: { user: { name: user, domain, password } } }
  const scope = { project: { name: project, domain } }
  const answer = await request('POST', `${base}/identity/v3/auth/tokens`, { auth: { identity, scope } })
  if (answer.status !== 201) throw new Error(`login of ${user} answered ${answer.status}: ${answer.text}`)
  const token = answer.headers.get('x-subject-token') ?? ''
  const { id } = answer.body.token.project
  return {
    project: id,
    token,
    call: (method, path, body, headers = {}) =>
      request(method, path.startsWith('http') ? path : `${base}/v1.0/${id}${path}`, body, {
        'x-auth-token': token,
        ...headers,
      }),
  }
}

/** Sends a request. Throws if openapi.json does not describe the response. */
export async function request(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const content = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
  const send = () =>
    fetch(url, {
      method,
      headers: { ...(content !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(content !== undefined && { body: content }),
    })
  // The server may close an idle connection just when it is used again: a GET is safe to repeat.
  const response = await send().catch(error => (method === 'GET' ? send() : Promise.reject(error)))
  const { status } = response
  const text = await response.text()
  const parsed = parseJson(text)
  assertDescribed(method, url, { status, type: response.headers.get('content-type'), body: parsed })
  return { status, headers: response.headers, body: parsed, text }
}

/** The value of a JSON text; the text itself if it is not JSON; undefined if it is empty. */
export function parseJson(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return text
  }
}

/** Polls until there is a result and returns it. Throws after `ms`, before Jest stops the test without a reason. */
export async function until<T>(what: string, poll: () => Promise<T | undefined | false>, ms = 50_000): Promise<T> {
  const end = Date.now() + ms
  for (;;) {
    const result = await poll()
    if (result !== undefined && result !== false) return result
    if (Date.now() > end) throw new Error(`no ${what} within ${ms} ms`)
    await sleep(20)
  }
}

/** Sends a create for a small instance and returns the instance as the response shows it. */
export async function requestInstance(
  session: Session,
  properties: Record<string, unknown> = {},
): Promise<Answer['body']> {
  const answer = await session.call('POST', '/instances', {
    instance: { name: 'shop', flavorRef: 1, volume: { size: 1 }, ...properties },
  })
  if (answer.status !== 200) throw new Error(`create answered ${answer.status}: ${answer.text}`)
  return answer.body.instance
}

/** Creates an instance and returns it once it is ACTIVE and HEALTHY. */
export async function createInstance(
  session: Session,
  properties: Record<string, unknown> = {},
): Promise<Answer['body']> {
  const { id } = await requestInstance(session, properties)
  return waitUntilActive(session, id)
}

/** Returns the instance once it is ACTIVE and HEALTHY. Throws if it is in ERROR. */
export function waitUntilActive(session: Session, id: string, ms?: number): Promise<Answer['body']> {
  return until(
    `ACTIVE instance ${id}`,
    async () => {
      const { instance } = (await session.call('GET', `/instances/${id}`)).body
      if (instance?.status === 'ERROR') throw new Error(`instance in ERROR: ${JSON.stringify(instance.fault)}`)
      return instance?.status === 'ACTIVE' && instance.operating_status === 'HEALTHY' && instance
    },
    ms,
  )
}

/** Deletes an instance and waits until it is gone. */
export async function deleteInstance(session: Session, id: string): Promise<void> {
  const answer = await session.call('DELETE', `/instances/${id}`)
  if (answer.status !== 202) throw new Error(`delete answered ${answer.status}: ${answer.text}`)
  await waitUntilGone(session, id)
}

export async function waitUntilGone(session: Session, id: string, ms?: number): Promise<void> {
  await until(`end of instance ${id}`, async () => (await session.call('GET', `/instances/${id}`)).status === 404, ms)
}

/** The processes that work with a data directory: it is in their arguments, or they run below it. */
export function processesOf(dataDir: string): { pid: number; args: string }[] {
  // An empty or very short path would match processes that are not ours, and `wipe` kills what this returns.
  if (!dataDir.startsWith(`${tmpdir()}/`)) throw new Error(`not the data directory of a test: '${dataDir}'`)
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(name => ({ pid: Number(name), args: commandLine(name), cwd: linkTarget(`/proc/${name}/cwd`) }))
    .filter(({ args, cwd }) => args.includes(dataDir) || cwd.startsWith(dataDir))
    .map(({ pid, args }) => ({ pid, args }))
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

function linkTarget(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

/** Kills the processes that are left of a local cloud, and removes its directory. */
export async function wipe(dataDir: string): Promise<void> {
  await until('end of all processes', async () => {
    const left = processesOf(dataDir)
    for (const { pid } of left) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // The process has ended by itself.
      }
    }
    return left.length === 0
  })
  rmSync(dataDir, { recursive: true, force: true })
}
