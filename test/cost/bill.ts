import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Figures, Unit } from './counts.ts'
import { MONTH_S, PRICES } from './prices.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

const CALLS = {
  authorizer: 'authorizerCalls',
  api: 'apiCalls',
  enrol: 'enrolCalls',
  taskmanager: 'taskmanagerCalls',
  conductor: 'conductorCalls',
  periodic: 'periodicCalls',
} as const satisfies Record<string, Unit>
type Name = keyof typeof CALLS
const NAMES = Object.keys(CALLS).filter((name): name is Name => name in CALLS)

/** How long an invocation is charged for, in milliseconds: assumed, as nothing here can measure it. */
export const DURATION_MS: Record<Name, number> = {
  authorizer: 20,
  api: 50,
  enrol: 100,
  taskmanager: 100,
  conductor: 50,
  periodic: 50,
}
/** What an invocation writes to its log, in bytes: Lambda's own three lines and one or two of ours; assumed. */
export const LOG_BYTES = 1_000
/** Polls at a time with which Lambda waits at an empty queue, by its documentation ("Using Lambda with Amazon SQS"). */
export const POLLERS = 5
/** The longest poll of SQS, in seconds; agents and Lambda wait so long. */
export const POLL_S = 20

/** What the deployment says, as far as it costs. */
export interface Deployment {
  alarms: number
  queues: number
  looksAMonth: number
  memoryMb: Record<Name, number>
}

export function deployment(): Deployment {
  const template = read('serverless.yml')
  const usual = Number(/^ {2}memorySize: (\d+)$/m.exec(template)?.[1])
  const minutes = Number(/schedule: rate\((\d+) minutes?\)/.exec(template)?.[1])
  const [, functions = ''] = template.split(/^functions:$/m)
  const memoryOf = (name: string) => {
    const [, part = ''] = new RegExp(`^ {2}${name}:\\n((?: {4}.*\\n)+)`, 'm').exec(functions) ?? []
    return Number(/^ {4}memorySize: (\d+)$/m.exec(part)?.[1] ?? usual)
  }
  return {
    alarms: [...read('deploy/alarms.yml').matchAll(/Type: AWS::CloudWatch::Alarm/g)].length,
    queues: [...template.matchAll(/^ {6}- sqs:$/gm)].length,
    looksAMonth: MONTH_S / 60 / minutes,
    memoryMb: {
      authorizer: memoryOf('authorizer'),
      api: memoryOf('api'),
      enrol: memoryOf('enrol'),
      taskmanager: memoryOf('taskmanager'),
      conductor: memoryOf('conductor'),
      periodic: memoryOf('periodic'),
    },
  }
}

/** Dollars, by the service that asks for them. */
export type Bill = Record<string, number>

/** What `times` of these units cost. */
export function billOf(units: Figures, { memoryMb }: Deployment, times = 1): Bill {
  const of = (unit: Unit) => (units[unit] ?? 0) * times
  const calls = NAMES.map(name => ({
    calls: of(CALLS[name]),
    gb: memoryMb[name] / 1_024,
    s: DURATION_MS[name] / 1_000,
  }))
  const sum = (part: (call: (typeof calls)[number]) => number) => calls.reduce((all, call) => all + part(call), 0)
  return {
    'API Gateway': of('apiRequests') * PRICES.apiRequest.per,
    'Lambda requests': sum(call => call.calls) * PRICES.lambdaRequest.per,
    'Lambda GB-seconds': sum(call => call.calls * call.gb * call.s) * PRICES.lambdaGbSecond.per,
    'DynamoDB reads': of('readUnits') * PRICES.readUnit.per,
    'DynamoDB writes': of('writeUnits') * PRICES.writeUnit.per,
    SQS: of('sqsRequests') * PRICES.sqsRequest.per,
    'CloudWatch Logs': (sum(call => call.calls) * LOG_BYTES * PRICES.logGb.per) / 1_000_000_000,
  }
}

export const total = (...bills: Bill[]): number =>
  bills.flatMap(bill => Object.values(bill)).reduce((sum, dollars) => sum + dollars, 0)

/** A month's empty receives of one that polls all the time. */
export const pollsAMonth = MONTH_S / POLL_S
