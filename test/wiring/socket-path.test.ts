import { execFile, spawnSync } from 'node:child_process'
import {
  chmodSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { embeddedQueue } from '../../lib/platform/queue/embedded/queue.ts'
import { serveQueue } from '../../lib/platform/queue/socket/server.ts'
import { socketPath } from '../../lib/wiring/socket-path.ts'
import { systemClock as clock, systemRandom as random } from '../../lib/wiring/system.ts'
import { silentLog } from '../kit/random.ts'

const isRoot = process.getuid?.() === 0
const asRoot = isRoot ? it : it.skip
const NOBODY = 65_534

/** Everything is below a folder of the test's own. `base` is like /tmp: everybody may make files there. */
let directory: string
let base: string
let dataDir: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'coffer-socket-'))
  base = join(directory, 'tmp')
  mkdirSync(base)
  chmodSync(inTest(directory), 0o711)
  chmodSync(inTest(base), 0o1777)
  dataDir = join(directory, 'd'.repeat(120))
  mkdirSync(dataDir)
})
afterEach(() => rmSync(inTest(directory), { recursive: true }))

/** The path, if it is in the folder that this test made. */
function inTest(path: string): string {
  if (!directory.startsWith(join(tmpdir(), 'coffer-socket-')) || !`${path}/`.startsWith(`${directory}/`))
    throw new Error(`${path} is not the test's own`)
  return path
}

const modeOf = (path: string) => lstatSync(path).mode & 0o777

describe('the path of the queue’s socket', () => {
  it('is in the data directory where it is short enough', async () => {
    const short = join(directory, 'd')
    mkdirSync(short)
    expect(await socketPath(short, random, base)).toBe(join(short, 'queue.sock'))
    expect(readdirSync(base)).toEqual([])
  })

  it('is in a folder of its own elsewhere, which nobody can guess and others only pass, and stays there', async () => {
    const path = await socketPath(dataDir, random, base)
    expect(path).toMatch(new RegExp(`^${base}/coffer-[0-9a-f]{32}/queue\\.sock$`))
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(107)
    expect([modeOf(dirname(path)), lstatSync(dirname(path)).uid]).toEqual([0o711, process.getuid?.()])
    expect(await socketPath(dataDir, random, base)).toBe(path)
    const other = join(directory, 'e'.repeat(120))
    mkdirSync(other)
    expect(await socketPath(other, random, base)).not.toBe(path)
    // The same data directory that lost its files does not get the same name.
    rmSync(inTest(dataDir), { recursive: true })
    mkdirSync(dataDir)
    expect(await socketPath(dataDir, random, base)).not.toBe(path)
  })

  it('is made again under its name, which agents have, where a clean-up removed it', async () => {
    const path = await socketPath(dataDir, random, base)
    rmdirSync(inTest(dirname(path)))
    expect(await socketPath(dataDir, random, base)).toBe(path)
    expect(modeOf(dirname(path))).toBe(0o711)
  })

  it('is another one where somebody has put a link in its place, which is not followed', async () => {
    const path = await socketPath(dataDir, random, base)
    const victim = join(directory, 'victim')
    mkdirSync(victim, { mode: 0o700 })
    writeFileSync(join(victim, 'data'), 'whole')
    rmdirSync(inTest(dirname(path)))
    symlinkSync(victim, inTest(dirname(path)))
    expect(dirname(await socketPath(dataDir, random, base))).not.toBe(dirname(path))
    expect([readdirSync(victim), modeOf(victim)]).toEqual([['data'], 0o700])
    expect(readFileSync(join(victim, 'data'), 'utf8')).toBe('whole')
  })

  it('is another one where others can write to its folder', async () => {
    const path = await socketPath(dataDir, random, base)
    chmodSync(inTest(dirname(path)), 0o733)
    expect(dirname(await socketPath(dataDir, random, base))).not.toBe(dirname(path))
  })

  asRoot('is another one where its folder is somebody else’s (as root only)', async () => {
    const path = await socketPath(dataDir, random, base)
    rmdirSync(inTest(dirname(path)))
    mkdirSync(inTest(dirname(path)), { mode: 0o711 })
    lchownSync(inTest(dirname(path)), NOBODY, NOBODY)
    expect(dirname(await socketPath(dataDir, random, base))).not.toBe(dirname(path))
    expect(lstatSync(dirname(path)).uid).toBe(NOBODY)
  })

  asRoot('is reached by other users, who cannot put anything else there (as root only)', async () => {
    const path = await socketPath(dataDir, random, base)
    const queue = embeddedQueue({ clock, random })
    const server = await serveQueue(queue, { path, admit: async () => undefined, clock, log: silentLog })
    // The shell's tries to remove, move and make something; then a connection, with which nothing is sent.
    const script = `rm -f "$1"; mv "$1" "$1.old"; touch "$2/other"; mv "$2" "$2.old"; ls "$2"`
    const shell = spawnSync('sh', ['-c', script, 'sh', inTest(path), inTest(dirname(path))], {
      uid: NOBODY,
      gid: NOBODY,
      cwd: '/',
    })
    expect(String(shell.stdout)).toBe('')
    expect(readdirSync(dirname(path))).toEqual(['queue.sock'])
    // Asynchronously: this process is the server.
    const program = `require('net').connect(process.argv[1], function () { console.log('connected'); this.destroy() })`
    const output = await new Promise((resolve, reject) =>
      execFile(process.execPath, ['-e', program, path], { uid: NOBODY, gid: NOBODY, cwd: '/' }, (error, stdout) =>
        error ? reject(error) : resolve(stdout.trim()),
      ),
    )
    expect(output).toBe('connected')
    await server.close()
    await queue.close()
  })
})
