import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { alive } from '../lib/kit/process.ts'
import { systemClock } from '../lib/wiring/system.ts'
import { parse, textOf } from '../local/surroundings.ts'

const HOST = join(import.meta.dirname, '..', 'host', 'main.ts')
const STOP_MS = 60_000

/** Stops and removes the instances of a stack whose emulator is gone, and its state with it: nobody could reach them any more. */
export async function sweep(dataDir: string): Promise<void> {
  const config = join(dataDir, 'host.json')
  if (!existsSync(config)) return
  const older = parse(textOf(join(dataDir, 'host.pid')))
  if (older && (await alive(older))) {
    process.kill(older.pid, 'SIGTERM')
    const end = systemClock.now() + STOP_MS
    while ((await alive(older)) && systemClock.now() < end) await systemClock.sleep(50)
  }
  spawnSync(process.execPath, [HOST, config, '--stop'], { stdio: 'ignore', timeout: STOP_MS })
  for (const folder of ['state', 'servers', 'volumes']) empty(join(dataDir, folder))
  rmSync(config)
}

/** Its own mode stays: the instances' uids go through it. */
function empty(folder: string): void {
  for (const entry of readdirSync(folder)) rmSync(join(folder, entry), { recursive: true })
}
