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

/** How each function is bundled: ESM, everything in it, for the nodejs24.x runtime. */
module.exports = () => ({
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  outputFileExtension: '.mjs',
  mainFields: ['module', 'main'],
  exclude: [],
  external: ['pg-native'],
  plugins: [oneLanguage, requiredBuiltins],
  // CommonJS packages in it ask for Node's own modules.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
})
