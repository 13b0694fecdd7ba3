import { chmod, copyFile, link, mkdir, readdir, readFile, readlink, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { MachineSide } from '../lib/datastores/machine.ts'
import { codeOf } from '../lib/kit/errors.ts'
import { exists, moveInto, removeAll, replaceFile } from '../lib/kit/os/files.ts'
import type { HostConfig } from './config.ts'
import { type Machines, machineOf } from './machines.ts'

/** An engine as it was installed: `stamp` changes with its content. */
export interface EngineSource {
  from: string
  stamp: string
}

/** What a datastore changes in copies of its engines. */
type Preparation = MachineSide['prepareEngine']

/** Installations in progress, by target: a second caller waits for the same one. */
const installations = new Map<string, Promise<void>>()

/** Where an engine's programs are on this machine; installed there first if nobody needed it before. */
export async function engineFor(
  { runtime }: Pick<HostConfig, 'runtime'>,
  { manager, version }: { manager: string; version: string },
  machines: Machines,
): Promise<string> {
  const path = runtime.engines[manager]?.[version]
  if (path === undefined) throw new Error(`this host has no ${manager} ${version}`)
  const source = runtime.sources?.[manager]?.[version]
  if (source) await installEngine(source, path, machineOf(machines, manager).prepareEngine)
  return path
}

/** Copies an engine to where every uid can reach it, anew when the stamp has changed, and prepares the copy. */
export function installEngine(source: EngineSource, to: string, preparation?: Preparation): Promise<void> {
  const installation =
    installations.get(to) ?? copyEngine(source, to, preparation).finally(() => installations.delete(to))
  installations.set(to, installation)
  return installation
}

async function copyEngine({ from, stamp: source }: EngineSource, to: string, preparation: Preparation): Promise<void> {
  const stamp = preparation ? `${source} ${preparation.revision}` : source
  const installed = await readFile(`${to}.stamp`, 'utf8').catch(() => undefined)
  if (installed === stamp && (await exists(to))) return
  const draft = `${to}.new`
  await removeAll(draft)
  await copyTree(from, draft)
  await preparation?.run(draft)
  await removeAll(to)
  await moveInto(draft, to)
  await replaceFile(`${to}.stamp`, stamp, { mode: 0o644 })
}

/** Hard links cost neither time nor space; across file systems there are none, and the files are copied. */
async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to)
  // mkdir's own mode would be cut by the umask.
  await chmod(to, 0o755)
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) await copyTree(source, target)
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target)
    else await linkFile(source, target)
  }
}

/** Links the file under another name, or copies it where it cannot be linked. Throws EEXIST if that name is taken. */
export async function linkFile(from: string, to: string): Promise<void> {
  await link(from, to).catch(error => {
    if (codeOf(error) === 'EEXIST') throw error
    return copyFile(from, to)
  })
}
