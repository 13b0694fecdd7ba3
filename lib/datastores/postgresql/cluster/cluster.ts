import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chown, mkdir, open, realpath, writeFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { codeOf } from '../../../kit/errors.ts'
import type { Owner } from '../../../kit/os/files.ts'
import type { VolumeOptions } from '../../machine.ts'
import { majorOf } from '../rules/major.ts'
import { readText } from './files.ts'

/** The files of a volume. */
export const clusterPaths = (volume: string) => ({
  data: join(volume, 'data'),
  log: join(volume, 'server.log'),
  access: join(volume, 'access.json'),
  password: (role: string) => join(volume, `${role}.pw`),
  // Beside the data, not in it: a copy of the data has no key.
  tlsKey: join(volume, 'server.key'),
  certificate: join(volume, 'server.crt'),
  ca: join(volume, 'ca.crt'),
  ssl: join(volume, 'ssl.json'),
})

// Nothing is inherited: no PGDATA, no locale, no secrets of the process that starts it.
const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', TZ: 'UTC' }

/** The major version of a volume's cluster, as initdb recorded it. Throws if there is no cluster. */
export async function readMajor(volume: string): Promise<number> {
  const text = await readText(join(clusterPaths(volume).data, 'PG_VERSION'))
  if (text === undefined) throw new Error('there is no cluster in the volume')
  return majorOf(text)
}

/** The major version of the programs in `<engine>/bin`. */
async function engineMajor(engine: string): Promise<number> {
  const { stdout } = await promisify(execFile)(join(engine, 'bin', 'initdb'), ['--version'], { env: ENVIRONMENT })
  return majorOf(stdout)
}

function initdbEnd(child: ChildProcess): Promise<void> {
  let output = ''
  const add = (chunk: unknown) => {
    output += String(chunk)
  }
  child.stdout?.on('data', add)
  child.stderr?.on('data', add)
  return new Promise((resolve, reject) => {
    // After an abort, wait until the process is gone: nothing of it may run on.
    child.on('error', error => error.name === 'AbortError' || reject(error))
    child.on('close', status => (status === 0 ? resolve() : reject(new Error(`initdb failed:\n${output.trim()}`))))
  })
}

// The built-in provider sorts the same on every machine, whatever C library a restored volume meets there. Before 17
// there was none; the C library's C.UTF-8 sorts by code point too.
const BUILTIN_LOCALE = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8']

function initdbArguments(major: number, passwordFile: string): string[] {
  return [
    // Relative to the volume, its working directory: initdb makes missing parents of an absolute path, and would bring
    // back a folder that was removed meanwhile.
    ...['-D', 'data', '-U', 'os_maint', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
    ...['-E', 'UTF8', '--locale=C.UTF-8', ...(major < 17 ? [] : BUILTIN_LOCALE)],
    // --no-sync would save 0.1 to 0.5 s, but nothing would ever write these files to the disk before the tenant's first
    // commit relies on them: a machine that dies soon after would come back with a broken catalogue.
    ...['--data-checksums', '--no-instructions'],
  ]
}

/** Makes the directory, not its parents: a data directory that was removed must not come back. */
async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch((error: unknown) => {
    if (codeOf(error) !== 'EEXIST') throw error
  })
}

/**
 * Makes a cluster in `<dir>/data`, never started, and stores its superuser's random password in `<dir>/os_maint.pw`.
 * Randomness is the system's own: no simulated run makes real clusters. A caller that is root names an owner, for initdb
 * refuses root, and uids without a passwd entry.
 */
export async function initCluster({ engine, dir, uid, gid, signal, idle }: VolumeOptions): Promise<void> {
  const file = clusterPaths(dir).password('os_maint')
  await makeDirectory(dir)
  // 'wx' follows no link that someone may have left there.
  await writeFile(file, randomBytes(24).toString('base64url'), { mode: 0o600, flag: 'wx' })
  const owner = uid === undefined ? {} : { uid, gid: gid ?? uid }
  if (owner.uid !== undefined) {
    await chown(file, owner.uid, owner.gid)
    await chown(dir, owner.uid, owner.gid)
  }
  const stdio: 'pipe'[] = ['pipe', 'pipe', 'pipe']
  const child = spawn(resolve(engine, 'bin', 'initdb'), initdbArguments(await engineMajor(engine), resolve(file)), {
    ...owner,
    ...(signal && { signal }),
    cwd: dir,
    stdio,
    env: ENVIRONMENT,
  })
  if (idle && child.pid !== undefined) setPriority(child.pid, 19)
  child.stdin?.end()
  await initdbEnd(child)
}

/**
 * Starts the server in a session of its own, so that it outlives the agent. Returns its pid. It writes to the volume's
 * log.
 */
export async function spawnServer(engine: string, volume: string, owner?: Owner): Promise<number> {
  const { data, log } = clusterPaths(volume)
  // Its working directory from the start: that distinguishes it from another process that gets the same pid later.
  const cwd = await realpath(data)
  const out = await open(log, 'a', 0o600)
  try {
    const stdio: ['ignore', number, number] = ['ignore', out.fd, out.fd]
    const options = { ...owner, cwd, detached: true, stdio, env: ENVIRONMENT }
    const child = spawn(join(engine, 'bin', 'postgres'), ['-D', cwd], options)
    child.unref()
    await once(child, 'spawn')
    if (child.pid === undefined) throw new Error('the server has no process')
    return child.pid
  } finally {
    await out.close()
  }
}
