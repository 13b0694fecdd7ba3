import { existsSync, readFileSync } from 'node:fs'
import { arch, platform } from 'node:os'
import { join } from 'node:path'
import type { EngineSource } from '../host/engines.ts'
import { MACHINES } from '../lib/datastores/machines.ts'
import { type DatastoreName, DEFAULT_MANIFEST, MANIFESTS } from '../lib/datastores/manifests.ts'

const NODE_MODULES = join(import.meta.dirname, '..', 'node_modules')

/** npm installed no programs of the default engine: there are none for this system, or it could not. */
export class EngineNotInstalled extends Error {
  override name = 'EngineNotInstalled'
}

/** Engines by manager and version. */
export type Engines<T> = Record<string, Record<string, T>>

/**
 * The engines in `node_modules`. Throws EngineNotInstalled if the default datastore's default version is missing.
 */
export function installedEngines(): Engines<EngineSource> {
  const names = Object.keys(MANIFESTS) as DatastoreName[]
  const engines: Engines<EngineSource> = Object.fromEntries(
    names.map(name => [
      name,
      Object.fromEntries(MANIFESTS[name].versions.flatMap(version => installedEngine(name, version.name))),
    ]),
  )
  const { manager, name, defaultVersion } = DEFAULT_MANIFEST
  if (engines[manager]?.[defaultVersion]) return engines
  throw new EngineNotInstalled(`there is no ${name} ${defaultVersion} for ${platform()}-${arch()} in node_modules`)
}

function installedEngine(datastore: DatastoreName, version: string): [version: string, source: EngineSource][] {
  const system = `${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
  const source = MACHINES[datastore].enginePackage(version, system)
  if (!source) return []
  const folder = join(NODE_MODULES, source.name)
  // The package's exports hide its package.json from require.resolve.
  const manifest = join(folder, 'package.json')
  if (!existsSync(manifest)) return []
  const stamp = String(JSON.parse(readFileSync(manifest, 'utf8')).version)
  return [[version, { from: join(folder, source.folder), stamp }]]
}
