/** How each function is bundled: ESM, everything in it, for the nodejs24.x runtime. */
const { rmSync } = require('node:fs')

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
  plugins: serverless?.processedInput?.commands[0] === 'offline' ? [] : [ending],
  // CommonJS packages in it ask for Node's own modules.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
})
