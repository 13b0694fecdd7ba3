import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { routes } from '../../functions/api.ts'
import { sagas } from '../../lib/instances/index.ts'
import { operatingStatusOf, statusOf } from '../../lib/model/instance-status.ts'
import { OperationAnswer } from '../../lib/operations/schemas.ts'
import { facts, servers, services, tasks } from '../model/status-facts.ts'

const PAGE = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'operations.md'), 'utf8')

/** The rows of the page's one table that begins so, as cells; a table ends at the first other line. */
function tableOf(head: string): string[][] {
  const lines = PAGE.split('\n')
  const heads = lines.flatMap((line, at) => (line.startsWith(`| ${head} |`) ? [at] : []))
  expect([head, heads.length]).toEqual([head, 1])
  const [first = 0] = heads
  const body = lines.slice(first + 2)
  const rows = body.slice(
    0,
    body.findIndex(line => !line.startsWith('|')),
  )
  return rows.map(row => row.split('|').slice(1, -1).map(trimmed))
}
const trimmed = (text: string) => text.trim()
const firstCells = (head: string) => tableOf(head).map(([cell = '']) => cell)
const listed = (cell = '') => cell.split(', ').filter(name => name !== '')
const sorted = (words: Iterable<string>) => [...new Set(words)].sort()

/** Whatever an instance can be. */
const everyInstance = tasks.flatMap(task =>
  servers.flatMap(server => services.map(service => facts(task, server, service))),
)

describe('docs/operations.md', () => {
  it('explains every status that an instance can have, and no other', () => {
    const explained = firstCells('status, operating_status').map(cell => cell.split(', ', 1)[0] ?? '')
    expect(sorted(explained)).toEqual(sorted(everyInstance.map(statusOf)))
  })

  it('explains every operating status of an ACTIVE instance, and no other', () => {
    const cells = firstCells('status, operating_status').filter(cell => cell.startsWith('ACTIVE, '))
    const explained = cells.flatMap(cell => cell.slice('ACTIVE, '.length).split(' or '))
    const active = everyInstance.filter(instance => statusOf(instance) === 'ACTIVE')
    const operatingStatuses = active.map(instance => operatingStatusOf(instance, 1_000) || '""')
    expect(sorted(explained)).toEqual(sorted(operatingStatuses))
  })

  it('explains every status of an operation', () => {
    expect(firstCells('its status')).toEqual(OperationAnswer.shape.operation.shape.status.options)
  })

  it('lists the steps of every operation in their order', () => {
    const explained = tableOf('operation').map(([name = '', , steps]) => [name, listed(steps)])
    const actual = Object.values(sagas).map(({ name, steps }): [string, string[]] => [
      name,
      steps.map(step => step.name),
    ])
    expect(Object.fromEntries(explained)).toEqual(Object.fromEntries(actual))
  })

  it('explains once what each step waits for', () => {
    const explained = firstCells('stands at').flatMap(listed)
    const actual = sorted(Object.values(sagas).flatMap(({ steps }) => steps.map(({ name }) => name)))
    expect(explained.sort()).toEqual(actual)
  })

  describe('has requests', () => {
    const examples = tableOf('when').flatMap(([, requests = '']) => [
      ...requests.matchAll(/`([A-Z]+) …(\/[^`]+)`(?: `([^`]+)`)?/g),
    ])
    const requests = examples.map(([, method = '', path = '', body]) => ({ method, path, body }))

    it.each(requests)('valid for the API: $method $path $body', ({ method, path, body }) => {
      const route = routes.find(candidate => candidate.method === method && candidate.path === path)
      const schema = route?.documentedBody ?? route?.body
      expect(route).toBeDefined()
      expect(schema?.safeParse(JSON.parse(body ?? 'null')).success).toBe(body === undefined ? undefined : true)
    })

    it.each(['cancel', 'retry', 'restart', 'reboot', 'rebuild', 'stop', 'reset_status', 'force_delete', 'DELETE'])(
      'one of which is for %s',
      what => {
        expect(requests.some(({ method, body }) => method === what || body?.includes(`"${what}":`))).toBe(true)
      },
    )
  })
})
