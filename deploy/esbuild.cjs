const { rmSync } = require('node:fs')
const { isBuiltin } = require('node:module')

/** Only English of zod's texts, and none of pino's threads. */
const oneLanguage = {
  name: 'one-language',
  setup(build) {
    build.onResolve({ filter: /locales\/index\.js$|^thread-stream$/ }, ({ path }) => ({ path, namespace: 'none' }))
    build.onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'export {}' }))
  },
}

/**
 * Node's own modules by `require`: an `import` looks at all that they export, and so loads what nobody asked for (`node:http` all
 * of fetch and WebSocket), a seventh of the time that a function takes to load.
 */
const requiredBuiltins = {
  name: 'required-builtins',
  setup(build) {
    build.onResolve({ filter: /^[\w:/]+$/ }, ({ path, kind }) =>
      kind.includes('import') && isBuiltin(path) ? { path, namespace: 'builtin' } : undefined,
    )
    build.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)})`,
    }))
  },
}

// One for each process, so that several can package at a time.
const outputWorkFolder = `build/esbuild-${process.pid}`
// `sls offline` does not tidy up.
process.on('exit', () => rmSync(outputWorkFolder, { recursive: true, force: true }))

/** After a source that does not compile the plugin would leave esbuild running, and `sls` waiting for it, for ever. */
const GRACE_MS = 1_000
const ending = {
  name: 'ending',
  setup: build =>
    build.onEnd(({ errors }) => {
      if (errors.length > 0) setTimeout(() => process.exit(1), GRACE_MS)
    }),
}

/** How each function is bundled: ESM, everything in it, for the nodejs24.x runtime. */
module.exports = serverless => ({
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  outputFileExtension: '.mjs',
  mainFields: ['module', 'main'],
  // Left out, and not looked for in node_modules either, as what is merely external would be.
  exclude: ['pg-native'],
  outputWorkFolder,
  // While it serves, the next change may compile.
  plugins: [oneLanguage, requiredBuiltins, ...(serverless?.processedInput?.commands[0] === 'offline' ? [] : [ending])],
  // CommonJS packages in it ask for Node's own modules.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
})
