import { spawn } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { reason } from '../lib/kit/errors.ts'
import { makeMasterKey } from '../lib/platform/secrets/ssm-init.ts'
import { type AwsSettings, awsHostAccess, awsPlatform, namesOf, AwsSettings as Settings } from '../lib/wiring/aws.ts'
import { systemLog, systemRandom } from '../lib/wiring/system.ts'
import { writeAccounts } from '../local/accounts.ts'
import { hostDaemon } from '../local/host-daemon.ts'
import { readOptions, Unfit } from '../local/options.ts'
import { bundleAgentSqs, runtime } from '../local/runtime.ts'
import { onSignals } from '../local/shutdown.ts'
import { checkNode, lock, prepareDataDir } from '../local/surroundings.ts'
import { emulator } from './emulator.ts'
import { proxy } from './proxy.ts'

/**
 * `npm run localstack -- …`: the stack that `sls deploy --stage local` puts on an emulator of AWS, behind the address, with the
 * options, files and signals of `npm start`; its instances are real databases, run by a host daemon.
 */
const ROOT = join(import.meta.dirname, '..')
const REGION = 'us-east-1'
const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test', sessionToken: '' }
const isRoot = process.getuid?.() === 0
const shutdown = onSignals(error => fail(error))

async function start(): Promise<void> {
  const options = readOptions(process.argv.slice(2), isRoot, process.env['INIT_CWD'] ?? process.cwd())
  const { dataDir, host, port, quiet } = options
  const log = systemLog('localstack', quiet ? 'warn' : 'info', 2)
  process.umask(0o022)
  prepareDataDir(dataDir, isRoot)
  process.on('exit', await lock(dataDir))
  const machine = await runtime(dataDir, isRoot)
  // What agents load where the bus is SQS stands beside their program.
  await bundleAgentSqs(join(dataDir, 'runtime'))
  const aws = await emulator(join(dataDir, 'emulator'))
  let target = ''
  const served = await proxy({ host, port, target: () => target })
  const address = served.address()
  const url = `http://${host}:${typeof address === 'object' && address ? address.port : port}`
  const settings = Settings.parse({
    ...namesOf('local'),
    COFFER_GUEST_ROLE: `arn:aws:iam::${aws.account}:role/unused`,
    COFFER_ACCOUNT: aws.account,
    COFFER_URL: url,
    COFFER_RATE: options.rate,
    AWS_REGION: REGION,
    AWS_ENDPOINT_URL: aws.endpoint,
  })
  // The SDK's clients of this process come as the emulator's operator.
  process.env['AWS_ACCESS_KEY_ID'] = CREDENTIALS.accessKeyId
  process.env['AWS_SECRET_ACCESS_KEY'] = CREDENTIALS.secretAccessKey
  const parameter = settings.COFFER_MASTER_KEY
  await makeMasterKey({ connection: { region: REGION, endpoint: aws.endpoint }, parameter, random: systemRandom })
  const api = await deployed(settings, options.rate, quiet)
  target = `${aws.endpoint}/restapis/${api}/local/_user_request_`
  const end = await seeded(settings, { dataDir, machine, log })
  shutdown.ready(async () => {
    served.closeAllConnections()
    served.close()
    await end()
    await aws.stop()
  })
  console.log(`ready ${url}`)
}

/** `sls deploy`, as anybody would; answers the id of the REST API. */
async function deployed(
  { COFFER_URL, AWS_ENDPOINT_URL = '' }: AwsSettings,
  rate: number,
  quiet: boolean,
): Promise<string> {
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    COFFER_URL,
    COFFER_RATE: String(rate),
    AWS_ENDPOINT_URL,
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
  }
  const sls = join(ROOT, 'node_modules', 'serverless', 'bin', 'serverless.js')
  const child = spawn(process.execPath, [sls, 'deploy', '--stage', 'local'], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const pipe of [child.stdout, child.stderr]) {
    pipe.on('data', chunk => {
      output += chunk
      if (!quiet) process.stderr.write(chunk)
    })
  }
  const code = await new Promise(resolve => child.once('exit', resolve))
  const [, api] = /https:\/\/([a-z0-9]+)\.execute-api\./.exec(output) ?? []
  if (code !== 0 || !api) throw new Unfit(`sls deploy failed:\n${output.slice(-2_000)}`)
  return api
}

/** Accounts, files, and the machine that runs the instances; answers how to end it. */
async function seeded(
  settings: AwsSettings,
  {
    dataDir,
    machine,
    log,
  }: { dataDir: string; machine: Awaited<ReturnType<typeof runtime>>; log: ReturnType<typeof systemLog> },
): Promise<() => Promise<void>> {
  const platform = awsPlatform(settings)
  if (platform.identityService) await writeAccounts(dataDir, platform.identityService, settings.COFFER_URL)
  writeReadable(join(dataDir, 'ca.pem'), await platform.authority.bundle())
  writeReadable(join(dataDir, 'endpoint'), platform.enrolUrl())
  const hostAccess = () => awsHostAccess(platform, settings, CREDENTIALS)
  const daemon = await hostDaemon(dataDir, { hostAccess }, machine, isRoot, log)
  return async () => {
    await daemon.stop()
    await platform.queue.close()
    await platform.store.close()
  }
}

function writeReadable(path: string, text: string): void {
  writeFileSync(path, text)
  chmodSync(path, 0o644)
}

function fail(error: unknown): never {
  process.stderr.write(
    `coffer: ${reason(error)}\n${error instanceof Unfit || !(error instanceof Error) ? '' : `${error.stack}\n`}`,
  )
  process.exit(1)
}

try {
  checkNode(process.versions.node)
  await start()
} catch (error) {
  fail(error)
}
