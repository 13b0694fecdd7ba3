import { type SpawnOptions, spawn } from 'node:child_process'
import { join } from 'node:path'
import { followProcess, type LaunchedProcess, launch, startCoffer, until, wipe } from '../test/e2e/coffer.ts'
import type { Note } from './table.ts'

const STARTS = 5
const ROOT = join(import.meta.dirname, '..')

/** A started cloud, and how to stop it. */
type Stoppable = LaunchedProcess & { stop(): void }

/** From the spawn to the ready line, on a data directory that exists already. */
export async function benchStart(note: Note): Promise<void> {
  const coffer = await startCoffer()
  await coffer.stop()
  const args = ['--data-dir', coffer.dataDir, '--port', '0']
  note('local/main.ts → ready, installed', await timesToReady(() => start(args)))
  note('npm start → ready, installed', await timesToReady(() => npmStart(args)))
  await wipe(coffer.dataDir)
}

async function timesToReady(launchCloud: () => Stoppable): Promise<number[]> {
  const times: number[] = []
  for (let run = 0; run < STARTS; run++) {
    const begin = performance.now()
    const { child, output, exited, stop } = launchCloud()
    await until('ready', async () => {
      if (child.exitCode !== null) throw new Error(`coffer ended:\n${output()}`)
      return /^ready /m.test(output())
    })
    times.push(performance.now() - begin)
    stop()
    await exited
  }
  return times
}

/**
 * Runs `npm start` in a process group of its own, which is stopped as by Ctrl-C: npm alone would not pass the signal
 * on.
 */
function npmStart(args: string[]): Stoppable {
  const options: SpawnOptions = { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], detached: true }
  const program = followProcess(spawn('npm', ['start', '--silent', '--', ...args], options))
  // The output is closed only when the last process of the group has ended.
  const exited = new Promise<number | null>(resolve => program.child.once('close', resolve))
  const stop = () => {
    const { pid } = program.child
    if (pid) process.kill(-pid, 'SIGINT')
  }
  return { ...program, exited, stop }
}

function start(args: string[]): Stoppable {
  const program = launch(args)
  return { ...program, stop: () => program.child.kill('SIGTERM') }
}
