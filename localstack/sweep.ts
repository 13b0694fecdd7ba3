import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { removeFolder } from '../host/folders.ts'
import { isAlive } from '../lib/kit/os/process.ts'
import { systemClock } from '../lib/wiring/system.ts'
import { parseProcessRef, readTextIfExists } from '../local/data-dir.ts'

const HOST = join(import.meta.dirname, '..', 'host', 'main.ts')
const STOP_MS = 60_000

/** Stops and removes the instances of an earlier stack: its emulator has lost its state, so nobody could reach them. */
export async function sweep(dataDir: string): Promise<void> {
  const config = join(dataDir, 'host.json')
  if (!existsSync(config)) return
  const previous = parseProcessRef(readTextIfExists(join(dataDir, 'host.pid')))
  if (previous && (await isAlive(previous))) {
    process.kill(previous.pid, 'SIGTERM')
    const end = systemClock.now() + STOP_MS
    while ((await isAlive(previous)) && systemClock.now() < end) await systemClock.sleep(50)
  }
  spawnSync(process.execPath, [HOST, config, '--stop'], { stdio: 'ignore', timeout: STOP_MS })
  for (const folder of ['state', 'servers', 'volumes']) await empty(join(dataDir, folder))
  rmSync(config)
}

/** Empties a folder, but keeps it with its mode: the instances' uids pass through it. */
async function empty(folder: string): Promise<void> {
  for (const entry of readdirSync(folder)) await removeFolder(join(folder, entry))
}
