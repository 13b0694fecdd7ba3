import { chown, mkdir, writeFile } from 'node:fs/promises'
import type { MachineSide } from '../../../lib/datastores/machine.ts'
import { toyFiles, toyProcess } from './files.ts'

/** The toy for machines. */
export const toyMachine: MachineSide = {
  async initVolume({ dir, uid, gid = uid }) {
    const { data } = toyFiles(dir)
    await mkdir(dir, { mode: 0o700 })
    await writeFile(data, '{}', { mode: 0o600 })
    if (uid === undefined || gid === undefined) return
    for (const path of [data, dir]) await chown(path, uid, gid)
  },

  async processesOf(volume) {
    const process = await toyProcess(volume)
    return { processes: process ? [process] : [], endSignal: 'SIGKILL' }
  },

  // Its programs come with the tests.
  enginePackage: () => undefined,

  imageFolder: '/usr/lib/toy',
}
