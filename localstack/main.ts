import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleAgentSqs } from '../agent-bundle/bundle.ts'
import { type AgentRuntime, prepareRuntime } from '../agent-bundle/runtime.ts'
import type { Log } from '../lib/kit/clock.ts'
import { makeMasterKey } from '../lib/platform/secrets/ssm/init.ts'
import { type AwsSettings, awsHostAccess, awsPlatform, AwsSettings as Settings, stageNames } from '../lib/wiring/aws.ts'
import { systemLog, systemRandom } from '../lib/wiring/system.ts'
import { missingPasswords, writeAccounts } from '../local/accounts.ts'
import { listen, listeningPort, localUrl } from '../local/address.ts'
import { lock, prepareDataDir, writePublic } from '../local/data-dir.ts'
import { startHostDaemon } from '../local/host-daemon.ts'
import { masterKeyState, watchMasterKeys } from '../local/key-watch.ts'
import { type Options, readOptions, StartupError } from '../local/options.ts'
import { exitIfRemoved, exitWithError, runMain } from '../local/run-main.ts'
import type { Shutdown } from '../local/shutdown.ts'
import { deploy } from './deploy.ts'
import { type Emulator, emulator, OPERATOR, REGION } from './emulator.ts'
import { proxy } from './proxy.ts'
import { sweep } from './sweep.ts'

/**
 * `npm run localstack -- …`: deploys what `sls deploy --stage local` deploys to an emulator of AWS, and serves it at
 * the address, with the options, files and signals of `npm start`. A host daemon runs the instances, which are real
 * databases.
 */
const root = process.getuid?.() === 0

async function start(options: Options, shutdown: Shutdown): Promise<void> {
  const { dataDir, host, port, quiet } = options
  const log = systemLog('localstack', quiet ? 'warn' : 'info', 2)
  await openDataDir(dataDir)
  const [aws, runtime] = await Promise.all([
    emulator(join(dataDir, 'emulator'), { auth: true }),
    prepareAwsRuntime(dataDir),
  ])
  let target = ''
  const server = await listen(host, port, () => proxy({ host, port, target: () => target }))
  const settings = settingsOf(aws, localUrl(host, listeningPort(server, port)), options.rate)
  await makeOperator(settings, aws, dataDir)
  const api = await deploy(operatorOf(settings), quiet)
  target = `${aws.endpoint}/restapis/${api}/local/_user_request_`
  const stopInstances = await startInstances(settings, options, runtime, log)
  shutdown.ready(async () => {
    server.closeAllConnections()
    server.close()
    await stopInstances()
    await aws.stop()
  })
  void aws.ended.then(
    () => shutdown.requested || exitWithError(new StartupError('the emulator ended; see emulator.log')),
  )
  void exitIfRemoved(dataDir, shutdown)
  console.log(`ready ${settings.COFFER_URL}`)
}

/** Locks the data directory until this process ends, and removes the instances of an earlier stack. */
async function openDataDir(dataDir: string): Promise<void> {
  process.umask(0o022)
  if (existsSync(join(dataDir, 'coffer.db'))) throw new StartupError(`${dataDir} is the data directory of 'npm start'`)
  prepareDataDir(dataDir, root)
  process.on('exit', await lock(dataDir))
  await sweep(dataDir)
}

/** What instances run on, with the SQS client that agents load beside their program. */
async function prepareAwsRuntime(dataDir: string): Promise<AgentRuntime> {
  const runtime = await prepareRuntime(dataDir, root)
  await bundleAgentSqs(join(dataDir, 'runtime'))
  return runtime
}

/** Makes this process, and whoever sources `awsrc`, the emulator's operator; creates the master key as that. */
async function makeOperator(settings: AwsSettings, { connection }: Emulator, dataDir: string): Promise<void> {
  const variables = operatorOf(settings)
  Object.assign(process.env, variables)
  await makeMasterKey({ connection, parameter: settings.COFFER_MASTER_KEY, random: systemRandom })
  writeFileSync(join(dataDir, 'awsrc'), exportLines(variables), { mode: 0o600 })
}

const settingsOf = (aws: Emulator, url: string, rate: number) =>
  Settings.parse({
    ...stageNames('local'),
    COFFER_GUEST_ROLE: `arn:aws:iam::${aws.account}:role/unused`,
    COFFER_ACCOUNT: aws.account,
    COFFER_URL: url,
    COFFER_RATE: rate,
    AWS_REGION: REGION,
    AWS_ENDPOINT_URL: aws.endpoint,
  })

/** The environment in which `sls`, `aws` and the SDK reach the emulator, and `sls deploy` deploys the same again. */
const operatorOf = ({ COFFER_URL, COFFER_RATE, AWS_ENDPOINT_URL = '' }: AwsSettings) => ({
  COFFER_URL,
  COFFER_RATE: String(COFFER_RATE),
  AWS_ENDPOINT_URL,
  AWS_REGION: REGION,
  AWS_ACCESS_KEY_ID: OPERATOR.accessKeyId,
  AWS_SECRET_ACCESS_KEY: OPERATOR.secretAccessKey,
})

const exportLines = (variables: Record<string, string>) =>
  Object.entries(variables)
    .map(([name, value]) => `export ${name}=${value}\n`)
    .join('')

/** Writes accounts and files, and starts the host daemon that runs the instances; call the result to stop it. */
async function startInstances(
  settings: AwsSettings,
  { dataDir, spares, hostId, ramMb, root: rootMode, newPasswords: renew }: Options,
  runtime: AgentRuntime,
  log: Log,
): Promise<() => Promise<void>> {
  const platform = awsPlatform(settings)
  const firstKeys = await masterKeyState(platform.keys)
  if (platform.identityService) {
    const note = missingPasswords(
      await writeAccounts(dataDir, platform.identityService, settings.COFFER_URL, { renew }),
    )
    if (note !== undefined) console.log(note)
  }
  writePublic(join(dataDir, 'ca.pem'), await platform.authority.bundle())
  writePublic(join(dataDir, 'endpoint'), platform.enrolUrl())
  const hostAccess = () => awsHostAccess(platform, settings, OPERATOR, hostId)
  const daemon = await startHostDaemon({ dataDir, hostAccess, platform, ramMb, runtime, spares, root, rootMode, log })
  const watch = new AbortController()
  const watching = watchMasterKeys(platform, firstKeys, watch.signal, async () => {
    writePublic(join(dataDir, 'ca.pem'), await platform.authority.bundle())
    await daemon.renewAccess()
  })
  return async () => {
    watch.abort()
    await watching
    await daemon.stop()
    await platform.queue.close()
    await platform.store.close()
  }
}

await runMain(async shutdown => {
  await start(readOptions(process.argv.slice(2), root, process.env['INIT_CWD'] ?? process.cwd()), shutdown)
})
