import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/**
 * `npm run verify`: format, lint, types, import boundaries, patterns, unit tests and laws; stops at the first that
 * fails. Arguments are jest's.
 */
const JEST = [
  '--experimental-vm-modules',
  '--no-warnings=ExperimentalWarning',
  join('node_modules', 'jest', 'bin', 'jest.js'),
]
const FOLDERS = [
  'lib',
  'functions',
  'guest-agent',
  'host',
  'agent-bundle',
  'local',
  'localstack',
  'test',
  'bench',
  'scripts',
]
/** Tests and tools read no text of others. */
const isShipped = (folder: string) => !['test', 'bench', 'scripts'].includes(folder)

const steps: [name: string, program: string, args: string[]][] = [
  ['format and lint', 'biome', ['check', '--error-on-warnings', '.']],
  ['types and unused code', 'tsc', ['-p', '.']],
  ['import boundaries', 'depcruise', ['--config', '.dependency-cruiser.cjs', ...FOLDERS]],
  ['patterns are linear', process.execPath, [join('scripts', 'patterns.ts'), ...FOLDERS.filter(isShipped)]],
  ['unit tests and laws', process.execPath, [...JEST, '--selectProjects', 'unit', ...process.argv.slice(2)]],
]

for (const [name, program, args] of steps) {
  console.log(`== ${name}`)
  const { status, error } = spawnSync(program, args, { stdio: 'inherit' })
  if (status !== 0) {
    console.error(`verify: ${name} failed${error ? `: ${error.message}` : ''}`)
    process.exit(1)
  }
}
