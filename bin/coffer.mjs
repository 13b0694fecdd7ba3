#!/usr/bin/env node
// The commands of package.json begin here, on whatever Node.js started npm (18 or newer): it installs what the lockfile
// asks for if needed, and hands over to the project's own Node.js.
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
const wanted = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')

function installed() {
  try {
    return readFileSync(stamp, 'utf8') === wanted && existsSync(node)
  } catch {
    return false
  }
}

if (!installed()) {
  process.stderr.write('coffer: installing what package-lock.json asks for\n')
  const npm = process.env.npm_execpath
  const [program, first] = npm?.endsWith('.js') ? [process.execPath, [npm]] : ['npm', []]
  const args = [...first, 'ci', '--no-audit', '--no-fund', '--loglevel=error']
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: ['ignore', 2, 2] })
  if (status !== 0) fail(`'npm ci' failed${error ? `: ${error.message}` : ''}`)
  if (!existsSync(node)) fail('the npm package node did not bring its program')
  writeFileSync(stamp, wanted)
}

const jest = [
  '--experimental-vm-modules',
  '--no-warnings=ExperimentalWarning',
  join('node_modules', 'jest', 'bin', 'jest.js'),
]
// Where continuous integration counts tests.
const report = process.env.COFFER_JEST_REPORT ? ['--json', `--outputFile=${process.env.COFFER_JEST_REPORT}`] : []
// An arena of memory for each thread costs a process that lives long twenty megabytes, and gains it nothing.
const LONG_LIVED = { MALLOC_ARENA_MAX: '1' }
const COMMANDS = {
  start: {
    args: ['--disable-warning=ExperimentalWarning', join('local', 'main.ts')],
    env: { NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'v8'), ...LONG_LIVED },
  },
  serve: { args: ['--disable-warning=ExperimentalWarning', join('local', 'serve.ts')], env: LONG_LIVED },
  localstack: { args: ['--disable-warning=ExperimentalWarning', join('localstack', 'main.ts')] },
  'deploy:init': { args: [join('scripts', 'deploy-init.ts')] },
  test: { args: [...jest, ...report] },
  'test:services': { args: [join('scripts', 'test-services.ts'), ...report] },
  verify: { args: [join('scripts', 'verify.ts')] },
  bench: { args: [join('bench', 'main.ts')] },
}
const chosen = COMMANDS[command]
if (!chosen) fail(`there is no command ${command}; there are ${Object.keys(COMMANDS).join(', ')}`)

const env = { ...process.env, ...chosen.env, INIT_CWD: process.env.INIT_CWD ?? process.cwd() }
env.PATH = `${dirname(node)}:${join(root, 'node_modules', '.bin')}:${env.PATH}`
const child = spawn(node, [...chosen.args, ...rest], { cwd: root, stdio: 'inherit', env })
// A signal to this process alone is handed on; one to the group has reached the child already, which takes it once.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
child.on('error', error => fail(error.message))
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)))
