import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../localstack/emulator.ts'
import { type Coffer, type Started, startCoffer, startedAs, until } from '../e2e/coffer.ts'
import type { Ran } from './clients.ts'
import { type AwsCall, signed } from './signed.ts'

const ROOT = join(import.meta.dirname, '..', '..')
/** `sls deploy` has a minute alone, with a machine to itself. */
const READY_MS = 240_000

/** `npm run localstack` with that limit of requests; ended again if it does not get ready. */
export const localstack = (rate: number) => async (): Promise<Coffer> => {
  let started: Started | undefined
  const how = (args: string[]) => {
    started = launch(args)
    return started
  }
  try {
    return await startCoffer(undefined, ['--rate', String(rate), '--quiet'], how, READY_MS)
  } catch (error) {
    started?.child.kill('SIGTERM')
    await started?.exited
    throw error
  }
}

function launch(args: string[]) {
  const flags = ['--disable-warning=ExperimentalWarning', join(ROOT, 'localstack', 'main.ts')]
  const env = { ...process.env, NODE_OPTIONS: '' }
  return startedAs(spawn(process.execPath, [...flags, ...args], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], env }))
}

/** The Serverless Framework in a folder, as the emulator's operator. */
export function sls(cwd: string, operator: Record<string, string>, ...args: string[]): Promise<Ran> {
  const program = join(ROOT, 'node_modules', 'serverless', 'bin', 'serverless.js')
  const env = { ...process.env, NODE_OPTIONS: '', SLS_NOTIFICATIONS_MODE: 'off', ...operator }
  const child = spawn(process.execPath, [program, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const ran: Ran = { code: -1, out: '', err: '' }
  child.stdout.on('data', chunk => {
    ran.out += chunk
  })
  child.stderr.on('data', chunk => {
    ran.err += chunk
  })
  return new Promise(resolve => child.once('close', code => resolve({ ...ran, code: code ?? -1 })))
}

/** `sls offline` on free ports, once it is ready. */
export async function offline(operator: Record<string, string>): Promise<{ base: string; stop(): Promise<unknown> }> {
  const [http, lambda, alb] = [await freePort(), await freePort(), await freePort()]
  const base = `http://127.0.0.1:${http}`
  const program = join(ROOT, 'node_modules', 'serverless', 'bin', 'serverless.js')
  const ports = ['--httpPort', http, '--lambdaPort', lambda, '--albPort', alb].map(String)
  const env = { ...process.env, NODE_OPTIONS: '', SLS_NOTIFICATIONS_MODE: 'off', ...operator, COFFER_URL: base }
  const how = { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'] }
  const child = spawn(process.execPath, [program, 'offline', '--stage', 'local', ...ports], how)
  const started = startedAs(child)
  await until('offline', async () => {
    if (child.exitCode !== null) throw new Error(`sls offline ended:\n${started.output()}`)
    return started.output().includes('Server ready')
  })
  return {
    base,
    stop() {
      child.kill('SIGTERM')
      return started.exited
    },
  }
}

/** A copy of the project with one text of one file replaced by another. */
export function changedProject(folder: string, file: string, from: string, to: string): string {
  mkdirSync(folder)
  for (const part of ['serverless.yml', 'package.json', 'deploy', 'functions', 'lib']) {
    cpSync(join(ROOT, part), join(folder, part), { recursive: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const text = readFileSync(join(folder, file), 'utf8')
  if (!text.includes(from)) throw new Error(`there is no ${from} in ${file}`)
  writeFileSync(join(folder, file), text.replace(from, to))
  return folder
}

/** Everything that a deployment makes, and how it is listed; `name` finds the names in what comes. */
const KINDS: Record<string, { call: AwsCall; name: RegExp }> = {
  stacks: {
    call: { service: 'cloudformation', form: { Action: 'DescribeStacks', Version: '2010-05-15' } },
    name: /<StackName>([^<]+)/g,
  },
  queues: {
    call: { service: 'sqs', form: { Action: 'ListQueues', Version: '2012-11-05' } },
    name: /<QueueUrl>[^<]*\/([^<]+)/g,
  },
  tables: {
    call: { service: 'dynamodb', target: 'DynamoDB_20120810.ListTables', json: {} },
    name: /"([^"]+)"(?=[,\]])/g,
  },
  functions: { call: { service: 'lambda', path: '/2015-03-31/functions/' }, name: /"FunctionName": "([^"]+)/g },
  mappings: { call: { service: 'lambda', path: '/2015-03-31/event-source-mappings/' }, name: /"UUID": "([^"]+)/g },
  buckets: { call: { service: 's3' }, name: /<Name>([^<]+)/g },
  apis: { call: { service: 'apigateway', path: '/restapis' }, name: /"name": "([^"]+)/g },
  plans: { call: { service: 'apigateway', path: '/usageplans' }, name: /"name": "([^"]+)/g },
  keys: { call: { service: 'apigateway', path: '/apikeys' }, name: /"name": "([^"]+)/g },
  roles: { call: { service: 'iam', form: { Action: 'ListRoles', Version: '2010-05-08' } }, name: /<RoleName>([^<]+)/g },
  logs: {
    call: { service: 'logs', target: 'Logs_20140328.DescribeLogGroups', json: {} },
    name: /"logGroupName": "([^"]+)/g,
  },
  topics: {
    call: { service: 'sns', form: { Action: 'ListTopics', Version: '2010-03-31' } },
    name: /<TopicArn>([^<]+)/g,
  },
  alarms: {
    call: { service: 'monitoring', form: { Action: 'DescribeAlarms', Version: '2010-08-01' } },
    name: /<AlarmName>([^<]+)/g,
  },
  rules: { call: { service: 'events', target: 'AWSEvents.ListRules', json: {} }, name: /"Name": "([^"]+)/g },
  parameters: {
    call: { service: 'ssm', target: 'AmazonSSM.DescribeParameters', json: {} },
    name: /"Name": "([^"]+)/g,
  },
}

/** The names of everything there is on the emulator, by kind; a kind of which there is nothing is left out. */
export async function everything(endpoint: string): Promise<Record<string, string[]>> {
  const found = await Promise.all(
    Object.entries(KINDS).map(async ([kind, { call, name }]) => {
      const text = await signed(endpoint, call)
      return [kind, [...text.matchAll(name)].map(([, each = '']) => each)]
    }),
  )
  return Object.fromEntries(found.filter(([, names]) => names?.length))
}

/** The bodies of the messages that a queue shows now, which stay there as they were. */
export async function shownIn(endpoint: string, queue: string): Promise<string[]> {
  const form = { Action: 'ReceiveMessage', Version: '2012-11-05', MaxNumberOfMessages: '10', VisibilityTimeout: '0' }
  const QueueUrl = `${endpoint}/000000000000/${queue}`
  const text = await signed(endpoint, { service: 'sqs', form: { ...form, QueueUrl } })
  return [...text.matchAll(/<Body>([^<]*)/g)].map(([, body = '']) => body.replaceAll('&quot;', '"'))
}
