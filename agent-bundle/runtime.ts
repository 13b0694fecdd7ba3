import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AGENT_FLAGS } from '../host/config.ts'
import { type EngineSource, installEngine, linkFile } from '../host/engines.ts'
import { MACHINES } from '../lib/datastores/machines.ts'
import { DEFAULT_DATASTORE, DEFAULT_MANIFEST } from '../lib/datastores/manifests.ts'
import { bundleAgent } from './bundle.ts'
import { type Engines, installedEngines } from './engines.ts'

/** The programs that instances run on; all members are paths. */
export interface AgentRuntime {
  node: string
  agent: string
  /** The folder of Node's compile cache for the agent. */
  cache: string
  /** Folders of engines by manager and version. */
  engines: Engines<string>
  /** Likewise, where the host daemon copies an engine from when it is first needed. */
  sources: Engines<EngineSource>
}

const ROOT = join(import.meta.dirname, '..')

/**
 * Bundles the agent and provides Node.js and the engines. Engines are linked or copied below the data directory: the
 * copies are prepared for Coffer, and instances' uids cannot reach every folder that the project may be in. Throws
 * EngineNotInstalled.
 */
export async function prepareRuntime(dataDir: string, root: boolean): Promise<AgentRuntime> {
  const folder = join(dataDir, 'runtime')
  const { manager, defaultVersion } = DEFAULT_MANIFEST
  const sources = installedEngines()
  const target = (datastore: string, version: string) => join(folder, `${datastore}-${version}`)
  const paths = mapEngines(sources, target)
  const defaultEngine = sources[manager]?.[defaultVersion]
  const [agent, node] = await Promise.all([
    upToDateBundle(folder),
    root ? linkOnce(process.execPath, join(folder, `node-${process.version}`)) : process.execPath,
    defaultEngine &&
      installEngine(defaultEngine, target(manager, defaultVersion), MACHINES[DEFAULT_DATASTORE].prepareEngine),
  ])
  return {
    node,
    agent,
    cache: cacheIn(folder),
    engines: paths,
    sources,
  }
}

function mapEngines<T>(engines: Engines<unknown>, map: (manager: string, version: string) => T): Engines<T> {
  const perManager = Object.entries(engines).map(([manager, versions]) => [
    manager,
    Object.fromEntries(Object.keys(versions).map(version => [version, map(manager, version)])),
  ])
  return Object.fromEntries(perManager)
}

async function linkOnce(from: string, to: string): Promise<string> {
  if (!existsSync(to)) await linkFile(from, to)
  return to
}

/** The agent's bundle, built again if a source has changed. */
async function upToDateBundle(folder: string): Promise<string> {
  const bundle = join(folder, 'guest-agent.mjs')
  const stampFile = `${bundle}.stamp`
  const stamp = sourceStamp()
  if (existsSync(bundle) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return bundle
  await bundleAgent(bundle)
  compileAgent(bundle, cacheIn(folder))
  writeFileSync(stampFile, stamp)
  return bundle
}

const cacheIn = (folder: string) => join(folder, 'compiled')

/** Compiles the agent once for all instances, which can read the cache but not write it. */
function compileAgent(bundle: string, cache: string): void {
  rmSync(cache, { recursive: true, force: true })
  spawnSync(process.execPath, [...AGENT_FLAGS, bundle], { env: { NODE_COMPILE_CACHE: cache }, stdio: 'ignore' })
  makeReadable(cache)
}

/** Lets everybody read a tree, and only its owner write. */
function makeReadable(path: string): void {
  if (!existsSync(path)) return
  chmodSync(path, 0o755)
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644)
  }
}

/** Changes with every source of the agent and with every package. */
function sourceStamp(): string {
  const hash = createHash('sha256')
  for (const folder of ['guest-agent', 'lib']) {
    for (const entry of readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const { mtimeMs, size } = statSync(path)
      hash.update(`${path} ${mtimeMs} ${size}\n`)
    }
  }
  return hash.update(readFileSync(join(ROOT, 'package-lock.json'))).digest('hex')
}
