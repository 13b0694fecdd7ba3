import { LEASE_MS } from '../../guest-agent/agent.ts'
import { HEARTBEAT_EXPIRY_MS } from '../../lib/instances/instance.ts'
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

/** What was measured, one of each. */
export interface Measured {
  look: Figures
  report: Figures
  renewal: Figures
  create: Figures
  remove: Figures
  requests: Record<string, Figures>
}

/** Dollars a month of a control plane that nobody uses, by item. */
export function idleControlPlane({ look }: Measured, deployment: Deployment): Bill {
  const { alarms, queues, looksAMonth } = deployment
  return {
    [`Lambda's polls of ${queues} queues`]: POLLERS * queues * pollsAMonth * PRICES.sqsRequest.per,
    [`${alarms} alarms`]: alarms * PRICES.alarm.per,
    [`periodic, ${whole(looksAMonth)} times`]: total(billOf(look, deployment, looksAMonth)),
  }
}

const reportsAMonth = MONTH_S / (LEASE_MS.sqs / 1_000)
/** Credentials last an hour and are renewed ten minutes before their end. */
const renewalsAMonth = MONTH_S / 3_000

/** Dollars a month of a guest whose database nobody uses, by item. */
export function idleGuest({ report, renewal }: Measured, deployment: Deployment): Bill {
  return {
    [`its agent's polls, ${whole(pollsAMonth)}`]: pollsAMonth * PRICES.sqsRequest.per,
    [`its reports, ${whole(reportsAMonth)}`]: total(billOf(report, deployment, reportsAMonth)),
    [`its new credentials, ${whole(renewalsAMonth)} times`]: total(billOf(renewal, deployment, renewalsAMonth)),
  }
}

export const whole = (count: number) => Math.round(count).toLocaleString('en-US')

/** Two digits that mean something. */
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
      ['**in all**', `**${dollars(total(bill))}**`],
    ],
  )

const UNITS: [string, Unit[]][] = [
  ['Lambda', ['authorizerCalls', 'apiCalls', 'enrolCalls', 'taskmanagerCalls', 'conductorCalls', 'periodicCalls']],
  ['reads', ['readUnits']],
  ['writes', ['writeUnits']],
  ['SQS', ['sqsRequests']],
]

function countsTable(rows: [string, Figures, number][], deployment: Deployment, last: string): string {
  const counted = rows.map(([name, figures, times]) => {
    const counts = UNITS.map(([, units]) => whole(units.reduce((sum, unit) => sum + (figures[unit] ?? 0), 0)))
    return [name, ...counts, dollars(total(billOf(figures, deployment, times)))]
  })
  return table(['one of', ...UNITS.map(([name]) => name), last], counted)
}

/** docs/cost.md */
export function page(measured: Measured, deployment: Deployment): string {
  const { report, renewal, create, remove, look, requests } = measured
  const kinds = Object.entries(requests).map(([name, figures]): [string, Figures, number] => [name, figures, 1_000_000])
  const first = billOf(requests[Object.keys(requests)[0] ?? ''] ?? {}, deployment, 1_000_000)
  const makes: [string, Figures, number][] = [
    ['create, until ACTIVE and all is quiet', create, 1_000],
    ['delete, until nothing is left', remove, 1_000],
  ]
  const rests: [string, Figures, number][] = [
    ['report of an agent at rest', report, 1_000],
    ['renewal of its credentials', renewal, 1_000],
    ["look of periodic's, nothing due", look, 1_000],
  ]
  return `# What it costs on AWS

Written by \`test/cost/cost.test.ts\`, which counts what is asked of AWS while real requests and sagas run: the functions' own handlers, the
real DynamoDB backend on a table in memory that counts request units, and a queue that counts as SQS does, with simulated guests. The test
fails when this page is no longer true; \`UPDATE_GOLDEN=1\` writes it anew. Nothing here comes from an AWS bill.

No free tier is taken off. Not counted: the databases themselves (servers, volumes, their traffic), and traffic to clients. The object store
is not used yet.

## A control plane that nobody uses
${billTable(idleControlPlane(measured, deployment))}

The target was $3. The rest costs nothing while it is not asked: table and bucket with next to nothing in them, the SSM parameter of the
standard tier, AWS's own KMS key, the schedule's rule, the topic of the alarms, usage plans and keys. Lambda reads the master key at most once in five
minutes for each running container, at $0.03 for 10,000 uses of the KMS key.

It could fall further: without the alarms; with one mapping for both queues; \`periodic\` every five minutes, which would find lost
doorbells later. Lambda's polls cannot be made fewer: five wait at each queue, and each wait ends after ${POLL_S} s.

## A guest whose database nobody uses
${billTable(idleGuest(measured, deployment))}

The target was $0.12. An agent on SQS reports every ${LEASE_MS.sqs / 60_000} minutes when nothing changes (elsewhere every minute; once a minute would be
${dollars(total(billOf(report, deployment, MONTH_S / 60)))} for reports alone), and at once when something does. So a guest that fell silent shows after
${(HEARTBEAT_EXPIRY_MS * LEASE_MS.sqs) / LEASE_MS.usual / 60_000} minutes instead of ${HEARTBEAT_EXPIRY_MS / 60_000}.

It could fall further: reports more seldom; reports written to the table only when they say something new; Lambda's own log lines off
(\`SystemLogLevel: WARN\`). The polls are the least that SQS allows.

## A million requests
${countsTable(kinds, deployment, 'a million')}

Counted is the worst case, in which the authorizer is asked each time: its answer is kept for a minute, so a client with many requests pays
for it once a minute. The first of them, by service:

${table(Object.keys(first), [Object.values(first).map(dollars)])}

It could fall further: an HTTP API costs $1.00 instead of ${dollars(PRICES.apiRequest.price)}, but has no usage plans; the write is the throttle's record of
project and verb, and with \`COFFER_RATE=0\` there is none. The agent's answer is awaited by looking for it, so a slow one costs reads.

## A thousand creates
${countsTable(makes, deployment, 'a thousand')}

A create is a volume, a server, the agent's enrolment (once: it asks again while its address is not known), its prepare command and its first reports; machines are a host daemon's, whose messages
count too. Each message is counted as an invocation of its own: when many come at a time, up to ten share one. What remains are
transactions, in which each write counts twice, and index entries (docs/decisions/011-dynamodb.md).

## What else was counted
${countsTable(rests, deployment, 'a thousand')}

## Assumed
- Durations, in ms: ${Object.entries(DURATION_MS)
    .map(([name, ms]) => `${name} ${ms}`)
    .join(', ')}. On two quiet cores a show takes 0.16 ms of CPU
  ([performance.md](performance.md)); the rest of an invocation is waiting for DynamoDB and SQS, and a share of a core by the function's memory.
- Memory is what \`serverless.yml\` gives: ${Object.entries(deployment.memoryMb)
    .map(([name, mb]) => `${name} ${mb}`)
    .join(', ')} MB.
- Logs: ${whole(LOG_BYTES)} bytes an invocation.
- Lambda waits at an empty queue with ${POLLERS} polls at a time (its documentation, "Using Lambda with Amazon SQS"), and receives and deletes at our expense.

## Prices
us-east-1, list prices of ${AS_OF}; \`test/cost/prices.ts\` is where they are changed.

${table(
  ['', 'dollars', "AWS's page"],
  Object.values(PRICES).map(({ what, price, page }) => [what, String(price), page]),
)}
`
}
