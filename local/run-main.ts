import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { EngineNotInstalled } from '../agent-bundle/engines.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { BadKeyFile } from '../lib/platform/secrets/keyfile/secrets.ts'
import { NewerSchema } from '../lib/ports/store.ts'
import { systemClock } from '../lib/wiring/system.ts'
import { checkNode } from './data-dir.ts'
import { StartupError } from './options.ts'
import { onSignals, type Shutdown } from './shutdown.ts'

const REMOVAL_CHECK_MS = 1_000
/** Errors that are the user's to mend: their message says all, a stack would not help. */
const EXPECTED = [StartupError, EngineNotInstalled, NewerSchema, BadKeyFile]

/** Runs a main program: signals end it in order, an error is printed and ends it with exit code 1. */
export async function runMain(start: (shutdown: Shutdown) => Promise<void>): Promise<void> {
  // Before anything starts: a signal that comes meanwhile must not be lost.
  const shutdown = onSignals(exitWithError)
  try {
    checkNode(process.versions.node)
    await start(shutdown)
  } catch (error) {
    exitWithError(error)
  }
}

/** Ends the process with exit code 1: an expected error is one line, another has its stack. */
export function exitWithError(error: unknown): never {
  const expected = EXPECTED.some(kind => error instanceof kind)
  process.stderr.write(
    `coffer: ${messageOf(error)}\n${expected || !(error instanceof Error) ? '' : `${error.stack}\n`}`,
  )
  process.exit(1)
}

/** Ends the process once its data directory was removed; agents and databases notice that themselves. */
export async function exitIfRemoved(dataDir: string, shutdown: Shutdown): Promise<void> {
  while (!shutdown.requested) {
    await systemClock.sleep(REMOVAL_CHECK_MS)
    if (!existsSync(join(dataDir, 'lock'))) exitWithError(new StartupError(`the data directory ${dataDir} was removed`))
  }
}
