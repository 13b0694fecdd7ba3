import { chmod, copyFile, link, lstat, mkdir, readdir, readFile, readlink, rename, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../lib/kit/errors.ts'
import { removeAll, writeAtomically } from '../lib/kit/files.ts'
import type { HostConfig } from './config.ts'

/** An engine as it was installed: `stamp` changes with its content. */
export interface EngineSource {
  from: string
  stamp: string
}

/** Engines being put in place, by where: who needs one meanwhile waits for the same. */
const underWay = new Map<string, Promise<void>>()

/** Where an engine's programs are on this machine, put there first if nobody needed it before. */
export async function engineFor(
  { runtime }: Pick<HostConfig, 'runtime'>,
  { manager, version }: { manager: string; version: string },
): Promise<string> {
  const path = runtime.engines[manager]?.[version]
  if (path === undefined) throw new Error(`this host has no ${manager} ${version}`)
  const source = runtime.sources?.[manager]?.[version]
  if (source) await provide(source, path)
  return path
}

/** A folder's twin where every uid can reach it, made anew when the stamp is another. */
export function provide(source: EngineSource, to: string): Promise<void> {
  const work = underWay.get(to) ?? twin(source, to).finally(() => underWay.delete(to))
  underWay.set(to, work)
  return work
}

async function twin({ from, stamp }: EngineSource, to: string): Promise<void> {
  const known = await readFile(`${to}.stamp`, 'utf8').catch(() => undefined)
  if (known === stamp && (await exists(to))) return
  const draft = `${to}.new`
  await removeAll(draft)
  await linkTree(from, draft)
  await removeAll(to)
  await rename(draft, to)
  await writeAtomically(`${to}.stamp`, stamp, 0o644)
}

/** Links cost neither time nor room; over a border of file systems there are none, and files are copied. */
async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to)
  // Whatever the umask.
  await chmod(to, 0o755)
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) await linkTree(source, target)
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target)
    else await linked(source, target)
  }
}

/** A file under another name, or its copy. */
export async function linked(from: string, to: string): Promise<void> {
  await link(from, to).catch(error => {
    if (codeOf(error) === 'EEXIST') throw error
    return copyFile(from, to)
  })
}

const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  )
