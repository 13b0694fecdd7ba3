import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { join } from 'node:path'
import { reason } from '../lib/kit/errors.ts'
import { makeMasterKey } from '../lib/platform/secrets/ssm-init.ts'
import { type AwsSettings, awsHostAccess, awsPlatform, namesOf, AwsSettings as Settings } from '../lib/wiring/aws.ts'
import { systemClock, systemLog, systemRandom } from '../lib/wiring/system.ts'
import { writeAccounts } from '../local/accounts.ts'
import { hostDaemon } from '../local/host-daemon.ts'
import { readOptions, Unfit } from '../local/options.ts'
import { bundleAgentSqs, type Runtime, runtime } from '../local/runtime.ts'
import { onSignals } from '../local/shutdown.ts'
import { checkNode, codeOf, lock, prepareDataDir } from '../local/surroundings.ts'
import { deploy } from './deploy.ts'
import { type Emulator, emulator, OPERATOR, REGION } from './emulator.ts'
import { proxy } from './proxy.ts'
import { sweep } from './sweep.ts'

/**
 * `npm run localstack -- …`: the stack that `sls deploy --stage local` puts on an emulator of AWS, behind the address, with the
 * options, files and signals of `npm start`; its instances are real databases, run by a host daemon.
 */
const VANISHED_MS = 1_000
const isRoot = process.getuid?.() === 0
const shutdown = onSignals(error => fail(error))

async function start(): Promise<void> {
  const options = readOptions(process.argv.slice(2), isRoot, process.env['INIT_CWD'] ?? process.cwd())
  const { dataDir, host, port, quiet } = options
  const log = systemLog('localstack', quiet ? 'warn' : 'info', 2)
  process.umask(0o022)
  if (existsSync(join(dataDir, 'coffer.db'))) throw new Unfit(`${dataDir} is the data directory of 'npm start'`)
  prepareDataDir(dataDir, isRoot)
  process.on('exit', await lock(dataDir))
  await sweep(dataDir)
  const [aws, machine] = await Promise.all([emulator(join(dataDir, 'emulator'), { auth: true }), machineOf(dataDir)])
  let target = ''
  const served = await listen(host, port, () => target)
  const url = `http://${reachable(host)}:${portOf(served, port)}`
  const settings = settingsOf(aws, url, options.rate)
  // The SDK's clients of this process come as the emulator's operator.
  Object.assign(process.env, operatorOf(settings))
  const parameter = settings.COFFER_MASTER_KEY
  await makeMasterKey({ connection: aws.connection, parameter, random: systemRandom })
  writeFileSync(join(dataDir, 'awsrc'), exported(operatorOf(settings)), { mode: 0o600 })
  const api = await deploy(operatorOf(settings), quiet)
  target = `${aws.endpoint}/restapis/${api}/local/_user_request_`
  const end = await seeded(settings, { dataDir, machine, log })
  shutdown.ready(async () => {
    served.closeAllConnections()
    served.close()
    await end()
    await aws.stop()
  })
  void aws.ended.then(() => shutdown.asked || fail(new Unfit('the emulator ended; see emulator.log')))
  void watchLock(dataDir)
  console.log(`ready ${url}`)
}

/** Node.js, agent and engines; what agents load where the bus is SQS stands beside their program. */
async function machineOf(dataDir: string): Promise<Runtime> {
  const machine = await runtime(dataDir, isRoot)
  await bundleAgentSqs(join(dataDir, 'runtime'))
  return machine
}

async function listen(host: string, port: number, target: () => string): Promise<Server> {
  try {
    return await proxy({ host, port, target })
  } catch (error) {
    throw new Unfit(`port ${port} on ${host} cannot be used (${codeOf(error)}); choose another with --port`)
  }
}

function portOf(served: Server, asked: number): number {
  const address = served.address()
  return typeof address === 'object' && address ? address.port : asked
}

/** Where this machine itself, and with it every function and agent, reaches the proxy. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

const settingsOf = (aws: Emulator, url: string, rate: number) =>
  Settings.parse({
    ...namesOf('local'),
    COFFER_GUEST_ROLE: `arn:aws:iam::${aws.account}:role/unused`,
    COFFER_ACCOUNT: aws.account,
    COFFER_URL: url,
    COFFER_RATE: rate,
    AWS_REGION: REGION,
    AWS_ENDPOINT_URL: aws.endpoint,
  })

/** What `sls`, `aws` and the SDK need to reach the emulator, and `sls deploy` to deploy the same again. */
const operatorOf = ({ COFFER_URL, COFFER_RATE, AWS_ENDPOINT_URL = '' }: AwsSettings) => ({
  COFFER_URL,
  COFFER_RATE: String(COFFER_RATE),
  AWS_ENDPOINT_URL,
  AWS_REGION: REGION,
  AWS_ACCESS_KEY_ID: OPERATOR.accessKeyId,
  AWS_SECRET_ACCESS_KEY: OPERATOR.secretAccessKey,
})

const exported = (variables: Record<string, string>) =>
  Object.entries(variables)
    .map(([name, value]) => `export ${name}=${value}\n`)
    .join('')

/** Nobody can work in a data directory that was removed; agents and databases end by themselves. */
async function watchLock(dataDir: string): Promise<void> {
  while (!shutdown.asked) {
    await systemClock.sleep(VANISHED_MS)
    if (!existsSync(join(dataDir, 'lock'))) fail(new Unfit(`the data directory ${dataDir} was removed`))
  }
}

/** Accounts, files, and the machine that runs the instances; answers how to end it. */
async function seeded(
  settings: AwsSettings,
  { dataDir, machine, log }: { dataDir: string; machine: Runtime; log: ReturnType<typeof systemLog> },
): Promise<() => Promise<void>> {
  const platform = awsPlatform(settings)
  if (platform.identityService) await writeAccounts(dataDir, platform.identityService, settings.COFFER_URL)
  writeReadable(join(dataDir, 'ca.pem'), await platform.authority.bundle())
  writeReadable(join(dataDir, 'endpoint'), platform.enrolUrl())
  const hostAccess = () => awsHostAccess(platform, settings, OPERATOR)
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
