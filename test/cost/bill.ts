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

/** Assumed duration of an invocation in milliseconds, as nothing here can measure it. */
export const DURATION_MS: Record<Name, number> = {
  authorizer: 20,
  api: 50,
  enrol: 100,
  taskmanager: 100,
  conductor: 50,
  periodic: 50,
}
/** Assumed log of an invocation in bytes: three lines of Lambda and one or two of the function. */
export const LOG_BYTES = 1_000
/** Lambda's concurrent polls of an empty queue, by its documentation ("Using Lambda with Amazon SQS"). */
export const POLLERS = 5
/** SQS's longest poll in seconds, which agents and Lambda use. */
export const POLL_S = 20

/** What the deployment's costs depend on. */
export interface Deployment {
  alarms: number
  queues: number
  checksAMonth: number
  memoryMb: Record<Name, number>
}

export function deployment(): Deployment {
  const template = read('serverless.yml')
  const defaultMb = Number(/^ {2}memorySize: (\d+)$/m.exec(template)?.[1])
  const minutes = Number(/schedule: rate\((\d+) minutes?\)/.exec(template)?.[1])
  const [, functions = ''] = template.split(/^functions:$/m)
  const memoryOf = (name: string) => {
    const [, part = ''] = new RegExp(`^ {2}${name}:\\n((?: {4}.*\\n)+)`, 'm').exec(functions) ?? []
    return Number(/^ {4}memorySize: (\d+)$/m.exec(part)?.[1] ?? defaultMb)
  }
  return {
    alarms: [...read('deploy/alarms.yml').matchAll(/Type: AWS::CloudWatch::Alarm/g)].length,
    queues: [...template.matchAll(/^ {6}- sqs:$/gm)].length,
    checksAMonth: MONTH_S / 60 / minutes,
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

/** Dollars by service. */
export type Bill = Record<string, number>

/** The cost of these units, `times` over. */
export function billOf(units: Figures, { memoryMb }: Deployment, times = 1): Bill {
  const count = (unit: Unit) => (units[unit] ?? 0) * times
  const calls = NAMES.map(name => ({
    calls: count(CALLS[name]),
    gb: memoryMb[name] / 1_024,
    s: DURATION_MS[name] / 1_000,
  }))
  const sum = (part: (call: (typeof calls)[number]) => number) => calls.reduce((all, call) => all + part(call), 0)
  return {
    'API Gateway': count('apiRequests') * PRICES.apiRequest.per,
    'Lambda requests': sum(call => call.calls) * PRICES.lambdaRequest.per,
    'Lambda GB-seconds': sum(call => call.calls * call.gb * call.s) * PRICES.lambdaGbSecond.per,
    'DynamoDB reads': count('readUnits') * PRICES.readUnit.per,
    'DynamoDB writes': count('writeUnits') * PRICES.writeUnit.per,
    SQS: count('sqsRequests') * PRICES.sqsRequest.per,
    'CloudWatch Logs': (sum(call => call.calls) * LOG_BYTES * PRICES.logGb.per) / 1_000_000_000,
  }
}

export const total = (...bills: Bill[]): number =>
  bills.flatMap(bill => Object.values(bill)).reduce((sum, dollars) => sum + dollars, 0)

/** The empty receives in a month of one consumer that polls all the time. */
export const pollsAMonth = MONTH_S / POLL_S
