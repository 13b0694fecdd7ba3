import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { StartupError } from '../local/options.ts'

/** Where things are kept that take long to install, so that a fresh clone finds them. */
export const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'coffer')

const REQUIREMENTS = join(import.meta.dirname, '..', 'test', 'services')

/** The Python environment of a list of requirements. Its path holds a hash of the list: another list is another folder. */
export function pythonEnvironment(requirements: string): string {
  const hash = createHash('sha256').update(readFileSync(join(REQUIREMENTS, requirements)))
  return join(CACHE, `${requirements.replace(/\.txt$/, '')}-${hash.digest('hex').slice(0, 16)}`)
}

/** Installs the environment if it is missing, and returns its path. Throws StartupError. */
export function installEnvironment(requirements: string, title: string): string {
  const venv = pythonEnvironment(requirements)
  // Written last, so that a broken installation is repeated.
  const stamp = join(venv, 'installed')
  if (existsSync(stamp)) return venv
  console.error(`coffer: installing ${title} into ${venv}`)
  rmSync(venv, { recursive: true, force: true })
  mkdirSync(dirname(venv), { recursive: true })
  // On Debian this is the package python3-venv.
  run('python3', ['-m', 'venv', venv])
  const pip = join(venv, 'bin', 'pip')
  const options = ['--quiet', '--disable-pip-version-check', '--no-input', '--no-deps', '--only-binary', ':all:']
  run(pip, ['install', ...options, '-r', join(REQUIREMENTS, requirements)])
  run(pip, ['check', '--disable-pip-version-check'])
  writeFileSync(stamp, '')
  return venv
}

function run(program: string, args: string[]): void {
  const { status, error } = spawnSync(program, args, { stdio: ['ignore', 2, 2] })
  if (status === 0) return
  const reason = error ? `: ${error.message}` : ''
  throw new StartupError(`${program} ${args.join(' ')} failed${reason}; Python 3 with venv is needed`)
}
