import { LEASE_MS } from '../../guest-agent/agent.ts'
import { HEARTBEAT_EXPIRY_MS } from '../../lib/model/instance-status.ts'
import {
  type Bill,
  billOf,
  type Deployment,
  DURATION_MS,
  LOG_BYTES,
  POLL_S,
  POLLERS,
  pollsAMonth,
  total,
} from './bill.ts'
import type { Figures, Unit } from './counts.ts'
import { AS_OF, MONTH_S, PRICES } from './prices.ts'

/** The measured units, of one of each. */
export interface Measured {
  check: Figures
  report: Figures
  renewal: Figures
  create: Figures
  remove: Figures
  requests: Record<string, Figures>
}

/** Dollars a month of a control plane that nobody uses, by item. */
export function idleControlPlane({ check }: Measured, deployment: Deployment): Bill {
  const { alarms, queues, checksAMonth } = deployment
  return {
    [`Lambda's polls of ${queues} queues`]: POLLERS * queues * pollsAMonth * PRICES.sqsRequest.per,
    [`${alarms} alarms`]: alarms * PRICES.alarm.per,
    [`periodic, ${rounded(checksAMonth)} times`]: total(billOf(check, deployment, checksAMonth)),
  }
}

const reportsAMonth = MONTH_S / (LEASE_MS.sqs / 1_000)
/** Credentials last an hour and are renewed ten minutes before their end. */
const renewalsAMonth = MONTH_S / 3_000

/** Dollars a month of a guest whose database nobody uses, by item. */
export function idleGuest({ report, renewal }: Measured, deployment: Deployment): Bill {
  return {
    [`its agent's polls, ${rounded(pollsAMonth)}`]: pollsAMonth * PRICES.sqsRequest.per,
    [`its reports, ${rounded(reportsAMonth)}`]: total(billOf(report, deployment, reportsAMonth)),
    [`its new credentials, ${rounded(renewalsAMonth)} times`]: total(billOf(renewal, deployment, renewalsAMonth)),
  }
}

export const rounded = (count: number) => Math.round(count).toLocaleString('en-US')

/** With two significant digits. */
export function dollars(amount: number): string {
  if (amount === 0) return '0'
  const digits = Math.max(0, 1 - Math.floor(Math.log10(amount)))
  return `$${amount.toFixed(Math.min(digits, 6))}`
}

const table = (head: string[], rows: string[][]) =>
  [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n')

const billTable = (bill: Bill) =>
  table(
    ['item', 'a month'],
    [
      ...Object.entries(bill).map(([item, amount]) => [item, dollars(amount)]),
      ['**total**', `**${dollars(total(bill))}**`],
    ],
  )

const UNITS: [string, Unit[]][] = [
  ['Lambda', ['authorizerCalls', 'apiCalls', 'enrolCalls', 'taskmanagerCalls', 'conductorCalls', 'periodicCalls']],
  ['reads', ['readUnits']],
  ['writes', ['writeUnits']],
  ['SQS', ['sqsRequests']],
]

function countsTable(rows: [string, Figures, number][], deployment: Deployment, priceColumn: string): string {
  const cells = rows.map(([name, figures, times]) => {
    const counts = UNITS.map(([, units]) => rounded(units.reduce((sum, unit) => sum + (figures[unit] ?? 0), 0)))
    return [name, ...counts, dollars(total(billOf(figures, deployment, times)))]
  })
  return table(['one of', ...UNITS.map(([name]) => name), priceColumn], cells)
}

const INTRODUCTION = `# What it costs on AWS

Written by \`test/cost/cost.test.ts\`, which counts the requests to AWS while real API requests and sagas run: the functions' own handlers, the
real DynamoDB backend on a table in memory that counts request units, and a queue that counts as SQS does, with simulated guests. The test
fails when this page is outdated; \`UPDATE_GOLDEN=1\` writes it anew. Nothing here comes from an AWS bill.

No free tier is deducted. Not counted: the databases themselves (servers, volumes, their traffic), and traffic to clients. The object store
is not used yet.
`

const idleSection = (measured: Measured, deployment: Deployment) => `
## An idle control plane
${billTable(idleControlPlane(measured, deployment))}

The target was $3. Everything else costs nothing without requests: table and bucket with almost no data in them, the SSM parameter of the
standard tier, AWS's own KMS key, the schedule's rule, the topic of the alarms, usage plans and keys. Lambda reads the master key at most once in five
minutes for each running container, at $0.03 for 10,000 uses of the KMS key.

It could fall further: without the alarms; with one mapping for both queues; with \`periodic\` every five minutes, which would find lost
doorbells later. Lambda's polls cannot be reduced: five wait at each queue, and each wait ends after ${POLL_S} s.

## A guest with an idle database
${billTable(idleGuest(measured, deployment))}

The target was $0.12. An agent on SQS reports every ${LEASE_MS.sqs / 60_000} minutes when nothing changes (elsewhere every minute; once a minute would be
${dollars(total(billOf(measured.report, deployment, MONTH_S / 60)))} for reports alone), and at once when something does. So a silent guest is noticed after
${(HEARTBEAT_EXPIRY_MS * LEASE_MS.sqs) / LEASE_MS.usual / 60_000} minutes instead of ${HEARTBEAT_EXPIRY_MS / 60_000}.

It could fall further: less frequent reports; reports written to the table only when they contain something new; Lambda's own log lines off
(\`SystemLogLevel: WARN\`). The polls are the fewest that SQS allows.
`

function requestsSection({ requests }: Measured, deployment: Deployment): string {
  const rows = Object.entries(requests).map(([name, figures]): [string, Figures, number] => [name, figures, 1_000_000])
  const first = billOf(Object.values(requests)[0] ?? {}, deployment, 1_000_000)
  return `
## A million requests
${countsTable(rows, deployment, 'a million')}

This is the worst case, in which the authorizer is called each time: its result is cached for a minute, so a client with many requests pays
for it once a minute. The first row, by service:

${table(Object.keys(first), [Object.values(first).map(dollars)])}

It could fall further: an HTTP API costs $1.00 instead of ${dollars(PRICES.apiRequest.price)}, but has no usage plans; the write is the throttle's record of
project and verb, and with \`COFFER_RATE=0\` there is none. The agent's answer is awaited by polling, so a slow agent costs reads.
`
}

function operationsSection({ create, remove, report, renewal, check }: Measured, deployment: Deployment): string {
  const operations: [string, Figures, number][] = [
    ['create, until ACTIVE and no message is left', create, 1_000],
    ['delete, until nothing is left', remove, 1_000],
  ]
  const background: [string, Figures, number][] = [
    ['report of an idle agent', report, 1_000],
    ['renewal of its credentials', renewal, 1_000],
    ['run of periodic with nothing due', check, 1_000],
  ]
  return `
## A thousand creates
${countsTable(operations, deployment, 'a thousand')}

A create is a volume, a server, the agent's enrolment (once: it is repeated while the address is not known), its prepare command and its first reports; machines are a host daemon's, whose messages
count too. Each message is counted as an invocation of its own: when many arrive together, up to ten share one. What remains are
transactions, in which each write counts twice, and index entries (docs/decisions/011-dynamodb.md).

## Background work
${countsTable(background, deployment, 'a thousand')}
`
}

function assumptionsSection({ memoryMb }: Deployment): string {
  const list = (values: Record<string, number>) =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')
  return `
## Assumptions
- Durations, in ms: ${list(DURATION_MS)}. On two idle cores a show takes 0.16 ms of CPU
  ([performance.md](performance.md)); the rest of an invocation is waiting for DynamoDB and SQS, and a share of a core by the function's memory.
- Memory is set in \`serverless.yml\`: ${list(memoryMb)} MB.
- Logs: ${rounded(LOG_BYTES)} bytes an invocation.
- Lambda waits at an empty queue with ${POLLERS} concurrent polls (its documentation, "Using Lambda with Amazon SQS"), and receives and deletes at our expense.

## Prices
List prices of us-east-1 in ${AS_OF}, maintained in \`test/cost/prices.ts\`.

${table(
  ['', 'dollars', "AWS's page"],
  Object.values(PRICES).map(({ what, price, page: source }) => [what, String(price), source]),
)}
`
}

/** docs/cost.md */
export function page(measured: Measured, deployment: Deployment): string {
  return [
    INTRODUCTION,
    idleSection(measured, deployment),
    requestsSection(measured, deployment),
    operationsSection(measured, deployment),
    assumptionsSection(deployment),
  ].join('')
}
