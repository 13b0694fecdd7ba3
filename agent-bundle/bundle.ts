import { join } from 'node:path'
import type { Plugin } from 'esbuild'

const ROOT = join(import.meta.dirname, '..')

/**
 * Leaves out what the agent never uses, and what would cost each agent memory: zod's messages in fifty languages
 * (English is loaded apart from these), and pino's writer threads.
 */
const unusedModules: Plugin = {
  name: 'unused-modules',
  setup(build) {
    build.onResolve({ filter: /locales\/index\.js$|^thread-stream$/ }, ({ path }) => ({ path, namespace: 'none' }))
    build.onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'export {}' }))
  },
}

/** The SQS client in a file of its own beside the agent's: only agents on AWS load it, the others save its memory. */
const SQS_FILE = 'guest-agent-sqs.mjs'
const separateSqsFile: Plugin = {
  name: 'separate-sqs-file',
  setup(build) {
    build.onResolve({ filter: /\/sqs\/agent\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: `./${SQS_FILE}`, external: true } : undefined,
    )
  },
}

/** Bundles the guest agent into one file; a test has an entry of its own, with other datastores. */
export const bundleAgent = (outfile: string, entry = join('guest-agent', 'main.ts')): Promise<void> =>
  bundle(entry, outfile)

/** Bundles the SQS client of agents on AWS into the folder of the agent's bundle. */
export const bundleAgentSqs = (folder: string): Promise<void> =>
  bundle(join('lib', 'platform', 'queue', 'sqs', 'agent.ts'), join(folder, SQS_FILE))

/** Bundles the boot program of EC2 machines, which mounts the volume and starts the agent, into one file. */
export const bundleMachine = (outfile: string): Promise<void> =>
  bundle(join('guest-agent', 'boot', 'ec2', 'main.ts'), outfile)

async function bundle(source: string, outfile: string): Promise<void> {
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
    plugins: [unusedModules, separateSqsFile],
    logLevel: 'error',
    // Bundled CommonJS packages call `require` for Node's own modules.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  })
}
