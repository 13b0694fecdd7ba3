/** How each function is bundled: ESM, everything in it, for the nodejs24.x runtime. */
const { rmSync } = require('node:fs')

// One for each process, so that several can package at a time.
const outputWorkFolder = `build/esbuild-${process.pid}`
// `sls offline` does not tidy up.
process.on('exit', () => rmSync(outputWorkFolder, { recursive: true, force: true }))

module.exports = () => ({
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
  // CommonJS packages in it ask for Node's own modules.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
})
