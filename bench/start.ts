import { type SpawnOptions, spawn } from 'node:child_process'
import { join } from 'node:path'
import { launch, type Started, startCoffer, startedAs, until, wipe } from '../test/e2e/coffer.ts'
import type { Note } from './table.ts'

const STARTS = 5
const ROOT = join(import.meta.dirname, '..')

/** A started cloud, and how to end it. */
type Stoppable = Started & { stop(): void }

/** From the spawn to the ready line, on a data directory that is there already. */
export async function benchStart(note: Note): Promise<void> {
  const coffer = await startCoffer()
  await coffer.stop()
  const args = ['--data-dir', coffer.dataDir, '--port', '0']
  note('local/main.ts → ready, installed', await timesToReady(() => started(args)))
  note('npm start → ready, installed', await timesToReady(() => npmStart(args)))
  await wipe(coffer.dataDir)
}

async function timesToReady(start: () => Stoppable): Promise<number[]> {
  const times: number[] = []
  for (let run = 0; run < STARTS; run++) {
    const begun = performance.now()
    const { child, output, exited, stop } = start()
    await until('ready', async () => {
      if (child.exitCode !== null) throw new Error(`coffer ended:\n${output()}`)
      return /^ready /m.test(output())
    })
    times.push(performance.now() - begun)
    stop()
    await exited
  }
  return times
}

/** `npm start` in a process group of its own, which is ended as a terminal's Ctrl-C ends it: npm alone would not pass it on. */
function npmStart(args: string[]): Stoppable {
  const options: SpawnOptions = { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], detached: true }
  const program = startedAs(spawn('npm', ['start', '--silent', '--', ...args], options))
  // Only when the last process of it has closed its output has all of it ended.
  const exited = new Promise<number | null>(resolve => program.child.once('close', resolve))
  const stop = () => {
    const { pid } = program.child
    if (pid) process.kill(-pid, 'SIGINT')
  }
  return { ...program, exited, stop }
}

function started(args: string[]): Stoppable {
  const program = launch(args)
  return { ...program, stop: () => program.child.kill('SIGTERM') }
}
