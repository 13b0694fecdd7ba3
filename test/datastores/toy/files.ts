import { join } from 'node:path'
import { readJson } from '../../../lib/kit/os/files.ts'
import { isAlive, type ProcessRef } from '../../../lib/kit/os/process.ts'

/** The files of a volume. */
export const toyFiles = (volume: string) => ({ data: join(volume, 'data.json'), process: join(volume, 'server.pid') })

/** The server of a volume, if it runs. */
export async function toyProcess(volume: string): Promise<ProcessRef | undefined> {
  const { pid, started } = Object((await readJson(toyFiles(volume).process)) ?? {})
  const process = { pid: Number(pid), started: String(started) }
  return (await isAlive(process)) ? process : undefined
}
