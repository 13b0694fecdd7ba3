import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** `npm run test:services`: installs the real OpenStack clients beside the project and drives Coffer with them. */
const ROOT = join(import.meta.dirname, '..')
const REQUIREMENTS = join(ROOT, 'test', 'services', 'requirements.txt')
const VENV = join(ROOT, '.venv')
/** Written last, so that a broken installation is made again. */
const STAMP = join(VENV, 'requirements.sha256')

function run(program: string, args: string[]): void {
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: 'inherit' })
  if (status === 0) return
  console.error(`test:services: ${[program, ...args].join(' ')} failed${error ? `: ${error.message}` : ''}`)
  process.exit(1)
}

function installed(stamp: string): boolean {
  try {
    return readFileSync(STAMP, 'utf8') === stamp
  } catch {
    return false
  }
}

function install(): void {
  const stamp = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex')
  if (installed(stamp)) return
  console.log('test:services: installing the OpenStack clients into .venv')
  rmSync(VENV, { recursive: true, force: true })
  // On Debian this is the package python3-venv.
  run('python3', ['-m', 'venv', VENV])
  const quiet = ['--quiet', '--disable-pip-version-check', '--no-input']
  run(join(VENV, 'bin', 'pip'), ['install', ...quiet, '--no-deps', '--only-binary', ':all:', '-r', REQUIREMENTS])
  run(join(VENV, 'bin', 'pip'), ['check', '--disable-pip-version-check'])
  writeFileSync(STAMP, stamp)
}

install()
const jest = [
  '--experimental-vm-modules',
  '--no-warnings=ExperimentalWarning',
  join('node_modules', 'jest', 'bin', 'jest.js'),
]
run(process.execPath, [...jest, '--config', join('test', 'services', 'jest.config.js'), ...process.argv.slice(2)])
