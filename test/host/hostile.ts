import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { arch, tmpdir } from 'node:os'
import { join } from 'node:path'

const hasPerl = spawnSync('perl', ['-v']).status === 0

/** Why a test with hostile programs cannot run here; undefined if it can. */
export const whyNot = process.getuid?.() !== 0 ? 'as root only' : hasPerl ? undefined : 'needs perl'

/** Uids that nothing else on this machine has. */
export const HOSTILE_UIDS = 1_600_000_000 + (process.pid % 4_000) * 10_000

/** Only the made-up uids of tests: a program as root, or a signal to everything of root, would be the end. */
function assertHostile(uid: number): void {
  if (uid < 65_534) throw new Error(`not a uid for a hostile program: ${uid}`)
}

/** Starts a program of perl in a session of its own, as the uid. */
export async function runAs(uid: number, cwd: string, program: string): Promise<ChildProcess> {
  assertHostile(uid)
  const child = spawn('perl', ['-e', program], { uid, gid: uid, cwd, detached: true, stdio: 'ignore', env: {} })
  await once(child, 'spawn')
  child.unref()
  return child
}

/** Ends what a test that failed leaves. */
export function endAllOf(uid: number): void {
  if (uid < 1_000_000) throw new Error(`not a uid of tests: ${uid}`)
  const program = `for (1..50) { kill 'KILL', -1 }`
  spawnSync('perl', ['-e', program], { uid, gid: uid, stdio: 'ignore', env: {} })
}

/** A process that is gone before it is looked at: each makes the next, and ends. */
export const FORK_CHAIN = `for (1..2) { last unless fork } while (1) { exit if fork }`

/** Swaps the entries `x` and `y` of its folder for a minute, as fast as it can. */
export const SWAP = `my $number = ${arch() === 'arm64' ? 276 : 316}; my $end = time + 60;
  my ($x, $y) = ('x', 'y');
  while (1) { syscall($number, -100, $x, -100, $y, 2); $n++ % 1000 or time < $end or exit }`

/** A folder of root's, which no other may enter, with files in it. */
export function makeTarget(): { target: string; damage(): string[] } {
  const target = mkdtempSync(join(tmpdir(), 'coffer-target-'))
  const names = Array.from({ length: 40 }, (_, index) => `file${index}`)
  for (const name of names) writeFileSync(join(target, name), 'precious')
  const damage = () => {
    const present = readdirSync(target)
    const missing = names.filter(name => !present.includes(name)).map(name => `${name} is gone`)
    const given = ['.', ...present].filter(name => lstatSync(join(target, name)).uid !== 0)
    return [...missing, ...given.map(name => `${name} was given away`)]
  }
  return { target, damage }
}

/** In a folder that the test made: `x`, a folder with files, and `y`, a link to the target; both of the uid. */
export function makeBait(folder: string, target: string, uid: number): void {
  assertHostile(uid)
  mkdirSync(join(folder, 'x'))
  chownSync(join(folder, 'x'), uid, uid)
  for (let index = 0; index < 40; index++) writeFileSync(join(folder, 'x', `file${index}`), '')
  symlinkSync(target, join(folder, 'y'))
}

/** The processes of a uid that have not ended, at one look. */
export function pidsOf(uid: number): string[] {
  return readdirSync('/proc').filter(name => {
    if (!/^\d+$/.test(name)) return false
    try {
      const status = readFileSync(`/proc/${name}/status`, 'utf8')
      return status.includes(`\nUid:\t${uid}\t`) && !/\nState:\t[ZX]/.test(status)
    } catch {
      return false
    }
  })
}
