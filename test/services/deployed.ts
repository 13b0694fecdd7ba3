import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../localstack/emulator.ts'
import { type Coffer, followProcess, type LaunchedProcess, startCoffer, until } from '../e2e/coffer.ts'
import { type ProgramResult, programResult } from './clients.ts'
import { type AwsCall, callAws } from './signed.ts'

const ROOT = join(import.meta.dirname, '..', '..')
/** `sls deploy` alone takes a minute on an idle machine. */
const READY_MS = 240_000

/** `npm run localstack` with that limit of requests; it is stopped again if it does not get ready. */
export const startLocalstack = (rate: number) => async (): Promise<Coffer> => {
  let started: LaunchedProcess | undefined
  const launch = (args: string[]) => {
    started = launchLocalstack(args)
    return started
  }
  try {
    return await startCoffer(undefined, ['--rate', String(rate), '--quiet'], launch, READY_MS)
  } catch (error) {
    started?.child.kill('SIGTERM')
    await started?.exited
    throw error
  }
}

function launchLocalstack(args: string[]) {
  const flags = ['--disable-warning=ExperimentalWarning', join(ROOT, 'localstack', 'main.ts')]
  const env = { ...process.env, NODE_OPTIONS: '' }
  return followProcess(
    spawn(process.execPath, [...flags, ...args], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], env }),
  )
}

/** Runs the Serverless Framework in a folder, as the emulator's operator. */
export function sls(cwd: string, operator: Record<string, string>, ...args: string[]): Promise<ProgramResult> {
  const program = join(ROOT, 'node_modules', 'serverless', 'bin', 'serverless.js')
  const env = { ...process.env, NODE_OPTIONS: '', SLS_NOTIFICATIONS_MODE: 'off', ...operator }
  const child = spawn(process.execPath, [program, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  return programResult(child)
}

/** Starts `sls offline` on free ports, and waits until it is ready. */
export async function startOffline(
  operator: Record<string, string>,
): Promise<{ base: string; stop(): Promise<unknown> }> {
  const [http, lambda, alb] = [await freePort(), await freePort(), await freePort()]
  const base = `http://127.0.0.1:${http}`
  const program = join(ROOT, 'node_modules', 'serverless', 'bin', 'serverless.js')
  const ports = ['--httpPort', http, '--lambdaPort', lambda, '--albPort', alb].map(String)
  const env = { ...process.env, NODE_OPTIONS: '', SLS_NOTIFICATIONS_MODE: 'off', ...operator, COFFER_URL: base }
  const options = { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'] }
  const child = spawn(process.execPath, [program, 'offline', '--stage', 'local', ...ports], options)
  const started = followProcess(child)
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

/** Copies the project with one text of one file replaced; returns the folder. */
export function copyProjectWithChange(folder: string, file: string, from: string, to: string): string {
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

/** Every kind of resource of a deployment: how it is listed, and the pattern of the names in the answer. */
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

/** The names of all resources on the emulator, by kind, without kinds of which there are none. */
export async function listResources(endpoint: string): Promise<Record<string, string[]>> {
  const names = await Promise.all(
    Object.entries(KINDS).map(async ([kind, { call, name }]) => {
      const text = await callAws(endpoint, call)
      return [kind, [...text.matchAll(name)].map(([, match = '']) => match)]
    }),
  )
  return Object.fromEntries(names.filter(([, list]) => list?.length))
}

/** The bodies of the messages that are visible in a queue now; they stay in it. */
export async function visibleMessages(endpoint: string, queue: string): Promise<string[]> {
  const form = { Action: 'ReceiveMessage', Version: '2012-11-05', MaxNumberOfMessages: '10', VisibilityTimeout: '0' }
  const QueueUrl = `${endpoint}/000000000000/${queue}`
  const text = await callAws(endpoint, { service: 'sqs', form: { ...form, QueueUrl } })
  return [...text.matchAll(/<Body>([^<]*)/g)].map(([, body = '']) => body.replaceAll('&quot;', '"'))
}
