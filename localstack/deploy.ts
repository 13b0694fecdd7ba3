import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { StartupError } from '../local/options.ts'

const ROOT = join(import.meta.dirname, '..')

/** Runs `sls deploy --stage local`; returns the id of the REST API. Throws StartupError. */
export async function deploy(env: Record<string, string>, quiet: boolean): Promise<string> {
  const sls = join(ROOT, 'node_modules', 'serverless', 'bin', 'serverless.js')
  const child = spawn(process.execPath, [sls, 'deploy', '--stage', 'local'], {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: '', SLS_NOTIFICATIONS_MODE: 'off', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C must not reach it: a deployment that has begun is finished first, and then all is stopped.
    detached: true,
  })
  let output = ''
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.on('data', chunk => {
      output += chunk
      if (!quiet) process.stderr.write(chunk)
    })
  }
  const code = await new Promise(resolve => child.once('close', resolve))
  const [, api] = /https:\/\/([a-z0-9]+)\.execute-api\./.exec(output) ?? []
  if (code !== 0 || !api) throw new StartupError(`sls deploy failed:\n${output.slice(-2_000)}`)
  return api
}
