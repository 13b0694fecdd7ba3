#!/usr/bin/env node
// The entry of all commands in package.json, on whatever Node.js runs npm (18 or newer). It installs the lockfile's
// packages if they are missing or outdated, and runs the command on the project's own Node.js.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const [command = 'start', ...rest] = process.argv.slice(2)

function fail(message) {
  process.stderr.write(`coffer: ${message}\n`)
  process.exit(1)
}

if (Number(process.versions.node.split('.')[0]) < 18) {
  fail(`Node.js 18 or newer is needed to start, this is ${process.versions.node}`)
}

const node = join(root, 'node_modules', 'node', 'bin', 'node')
const stamp = join(root, 'node_modules', '.coffer-lock')
const lockHash = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')

function isInstalled() {
  try {
    return readFileSync(stamp, 'utf8') === lockHash && existsSync(node)
  } catch {
    return false
  }
}

if (!isInstalled()) {
  process.stderr.write('coffer: installing the packages of package-lock.json\n')
  const npm = process.env.npm_execpath
  const [program, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []]
  const args = [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error']
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) fail(`'npm ci' failed${error ? `: ${error.message}` : ''}`)
  if (!existsSync(node)) fail('the npm package node has no program for this system')
  writeFileSync(stamp, lockHash)
}

const jest = [
  '--experimental-vm-modules',
  '--no-warnings=ExperimentalWarning',
  join('node_modules', 'jest', 'bin', 'jest.js'),
]
// Continuous integration counts the tests in this report.
const report = process.env.COFFER_JEST_REPORT ? ['--json', `--outputFile=${process.env.COFFER_JEST_REPORT}`] : []
// An allocator arena for each thread costs a long-running process twenty megabytes, and gains it nothing.
const LONG_LIVED = { MALLOC_ARENA_MAX: '1' }
const COMMANDS = {
  start: {
    args: ['--disable-warning=ExperimentalWarning', join('local', 'main.ts')],
    env: { NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'v8'), ...LONG_LIVED },
  },
  serve: { args: ['--disable-warning=ExperimentalWarning', join('local', 'serve.ts')], env: LONG_LIVED },
  localstack: { args: ['--disable-warning=ExperimentalWarning', join('localstack', 'main.ts')] },
  key: { args: ['--disable-warning=ExperimentalWarning', join('scripts', 'master-key.ts')] },
  'deploy:init': { args: [join('scripts', 'deploy-init.ts')] },
  'deploy:agent': { args: [join('scripts', 'deploy-agent.ts')] },
  test: { args: [...jest, ...report] },
  'test:services': { args: [join('scripts', 'test-services.ts'), ...report] },
  verify: { args: [join('scripts', 'verify.ts'), ...report] },
  bench: { args: [join('bench', 'main.ts')] },
  soak: { args: ['--disable-warning=ExperimentalWarning', join('bench', 'soak', 'main.ts')] },
}
const program = COMMANDS[command]
if (!program) fail(`there is no command ${command}; there are ${Object.keys(COMMANDS).join(', ')}`)

const env = { ...process.env, ...program.env, INIT_CWD: process.env.INIT_CWD ?? process.cwd() }
env.PATH = `${dirname(node)}:${join(root, 'node_modules', '.bin')}:${env.PATH}`
const child = spawn(node, [...program.args, ...rest], { cwd: root, stdio: 'inherit', env })
// Passes on a signal sent to this process alone. One to the group reaches the child twice, which reacts only once.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', error => fail(error.message))
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)))
