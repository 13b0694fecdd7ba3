const { rmSync } = require('node:fs')
const { isBuiltin } = require('node:module')

/** Leaves out zod's messages in other languages than English, and pino's writer threads. */
const unusedModules = {
  name: 'unused-modules',
  setup(build) {
    build.onResolve({ filter: /locales\/index\.js$|^thread-stream$/ }, ({ path }) => ({ path, namespace: 'none' }))
    build.onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'export {}' }))
  },
}

/**
 * Loads Node's own modules by `require`: an `import` reads all their exports, and thereby loads modules that are not
 * needed (`node:http` loads all of fetch and WebSocket). That would be a seventh of a function's load time.
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

// A folder for each process, so that several can package at a time.
const outputWorkFolder = `build/esbuild-${process.pid}`
// `sls offline` leaves it behind.
process.on('exit', () => rmSync(outputWorkFolder, { recursive: true, force: true }))

/** Exits after a compile error: the plugin leaves esbuild running, and `sls` would wait for it for ever. */
const GRACE_MS = 1_000
const exitOnError = {
  name: 'exit-on-error',
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
  // Left out. If it were `external`, the plugin would look for it in node_modules.
  exclude: ['pg-native'],
  outputWorkFolder,
  // `sls offline` goes on after an error: the next change may compile.
  plugins: [
    unusedModules,
    requiredBuiltins,
    ...(serverless?.processedInput?.commands[0] === 'offline' ? [] : [exitOnError]),
  ],
  // Bundled CommonJS packages call `require` for Node's own modules.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
})
