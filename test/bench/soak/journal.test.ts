import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { type Exchange, isExplained, Journal } from '../../../bench/soak/journal.ts'
import type { Kind } from '../../../bench/soak/processes.ts'

let folder = ''
let journal: Journal
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'coffer-test-'))
  journal = new Journal(folder)
})
afterEach(() => {
  expect(basename(folder)).toMatch(/^coffer-test-.+/)
  rmSync(folder, { recursive: true })
})

const INSTANCE = '/instances/11111111-1111-1111-1111-111111111111'
const exchange = (status: number, fields: Partial<Exchange> = {}): Exchange => ({
  ...{ action: 'restart', method: 'POST', path: `${INSTANCE}/action`, from: 100_000, to: 101_000 },
  ...{ status, text: 'why', ...fields },
})
const ID = '11111111-1111-1111-1111-111111111111'
const kill = (at: number, instance?: string, kind: Kind = 'agent') => ({
  ...{ at, kind, pid: 7 },
  ...(instance !== undefined && { instance }),
})

describe('an exchange with the API', () => {
  it.each([200, 202, 400, 404, 409, 413, 422])('with %i is no problem', status => {
    journal.exchange(exchange(status), false)
    expect(journal.problems).toEqual([])
    expect(journal.counts).toEqual([[`restart ${status}`, 1]])
  })

  it.each([401, 403, 405, 415, 429, 500, 503, 504])('with %i is a problem that nothing explains', status => {
    journal.exchange(exchange(status), false)
    expect(journal.problems).toEqual([expect.stringContaining(`answered ${status}`)])
  })

  it('without an answer is a problem unless the control plane was away', () => {
    journal.exchange(exchange(0), true)
    expect(journal.problems).toEqual([])
    journal.exchange(exchange(0), false)
    expect(journal.problems).toEqual([expect.stringContaining('though the control plane was there')])
  })

  it('that failed after a kill is a remark', () => {
    journal.kill(kill(90_000, ID))
    journal.exchange(exchange(504), false)
    expect([journal.problems, journal.remarks]).toEqual([[], [expect.stringContaining('answered 504')]])
  })

  it('that is refused for want of rights is a problem after a kill too', () => {
    journal.kill(kill(99_000, undefined, 'control'))
    journal.exchange(exchange(403), true)
    expect(journal.problems).toHaveLength(1)
  })

  it('is a line of the log, with its text only if it failed', () => {
    journal.exchange(exchange(202), false)
    journal.exchange(exchange(504), false)
    const lines = readFileSync(join(folder, 'soak.log'), 'utf8').trim().split('\n')
    expect(lines.map(line => JSON.parse(line).text)).toEqual([undefined, 'why', undefined])
  })
})

describe('a kill', () => {
  it.each([
    ['of the instance, half a minute before', kill(70_000, ID), true],
    ['of the instance, two minutes before', kill(-20_000, ID), false],
    ['of another instance', kill(99_000, '22222222-2222-2222-2222-222222222222'), false],
    ['of the control plane, meanwhile', kill(100_500, undefined, 'control'), true],
    ['of the control plane, half a minute before', kill(70_000, undefined, 'control'), false],
    ['of the host daemon', kill(100_500, undefined, 'host'), false],
    ['after it', kill(101_500, ID), false],
  ])('%s explains a failure: %j %s', (_, one, explains) => {
    expect(isExplained(exchange(504), [one])).toBe(explains)
  })
})

describe('an operation that was accepted', () => {
  it.each([
    [504, 90_000, []],
    [504, 20_000, ['a problem']],
    [500, 90_000, ['a problem']],
  ])('explains that an agent answers %i: %d %j', (status, at, problems) => {
    journal.exchange(exchange(202, { from: at, to: at }), false)
    journal.exchange(exchange(status), false)
    expect(journal.problems).toHaveLength(problems.length)
  })
})
