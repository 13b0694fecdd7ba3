import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chown, mkdir, open, realpath, writeFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import type { Owner } from './files.ts'

/** Where things stand in a volume. */
export const layout = (volume: string) => ({
  data: join(volume, 'data'),
  log: join(volume, 'server.log'),
  access: join(volume, 'access.json'),
  password: (role: string) => join(volume, `${role}.pw`),
})

// Nothing is inherited: no PGDATA, no locale, no secrets of the one who starts it.
const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', TZ: 'UTC' }

/** Where a new cluster is made, with which programs, and as whom. */
export interface ClusterOptions {
  /** Where the programs are: `<engine>/bin/initdb`. */
  engine: string
  /** The volume: new, or an empty directory. */
  dir: string
  /** Owner of the cluster, for a caller that is root: initdb refuses root, and uids without a passwd entry. */
  uid?: number
  gid?: number
  /** Ends it; what was made so far stays. */
  signal?: AbortSignal
  /** Leaves the processor to whoever wants it. */
  idle?: boolean
}

function finished(child: ChildProcess): Promise<void> {
  let output = ''
  const add = (chunk: unknown) => {
    output += String(chunk)
  }
  child.stdout?.on('data', add)
  child.stderr?.on('data', add)
  return new Promise((resolve, reject) => {
    // One that is ended is awaited: nothing of it may go on.
    child.on('error', error => error.name === 'AbortError' || reject(error))
    child.on('close', status => (status === 0 ? resolve() : reject(new Error(`initdb failed:\n${output.trim()}`))))
  })
}

function initdbArguments(data: string, passwordFile: string): string[] {
  return [
    ...['-D', data, '-U', 'os_maint', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
    // The built-in provider sorts the same on every machine, whatever C library a restored volume meets there.
    ...['-E', 'UTF8', '--locale=C.UTF-8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'],
    // --no-sync would save 0.1 to 0.5 s, but nothing would ever write these files to the disk before the tenant's first
    // commit relies on them: a machine that dies soon after would come back with a broken catalogue.
    ...['--data-checksums', '--no-instructions'],
  ]
}

/**
 * Makes a cluster in `<dir>/data`, never started, and keeps its superuser's random password in `<dir>/os_maint.pw`.
 * Randomness is the system's own: no simulated run makes real clusters.
 */
export async function initCluster({ engine, dir, uid, gid, signal, idle }: ClusterOptions): Promise<void> {
  const { data, password } = layout(dir)
  const file = password('os_maint')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  // 'wx' follows no link that someone may have left there.
  await writeFile(file, randomBytes(24).toString('base64url'), { mode: 0o600, flag: 'wx' })
  const owner = uid === undefined ? {} : { uid, gid: gid ?? uid }
  if (owner.uid !== undefined) {
    await chown(file, owner.uid, owner.gid)
    await chown(dir, owner.uid, owner.gid)
  }
  const stdio: 'pipe'[] = ['pipe', 'pipe', 'pipe']
  const child = spawn(join(engine, 'bin', 'initdb'), initdbArguments(data, file), {
    ...owner,
    ...(signal && { signal }),
    stdio,
    env: ENVIRONMENT,
  })
  if (idle && child.pid !== undefined) setPriority(child.pid, 19)
  child.stdin?.end()
  await finished(child)
}

/**
 * Starts the server in a session of its own, so that it outlives the agent, and gives its pid.
 * It writes into the volume's log.
 */
export async function spawnServer(engine: string, volume: string, owner?: Owner): Promise<number> {
  const { data, log } = layout(volume)
  // Its working directory from the first moment: that is how it is told from a stranger with the same pid.
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
