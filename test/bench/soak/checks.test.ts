import { describe, expect, it } from '@jest/globals'
import {
  endStateProblem,
  fleetProblems,
  isStopped,
  memoryProblems,
  type Operation,
  openOperations,
  quotaProblems,
  type View,
} from '../../../bench/soak/checks.ts'
import { newEntry } from '../../../bench/soak/ledger.ts'

let operations = 0
const operation = (name: string, status: string, error: string | null = null): Operation => ({
  ...{ id: String(++operations), name, status, error },
  ...{ step: null, started: '2026-01-01T00:00:00', finished: null },
})
const CREATED = operation('create_instance', 'DONE')
const view = (status: string, operating: string, latest: Operation[] = [CREATED], rest: object = {}): View => ({
  owner: 'demo',
  instance: { id: 'i', status, operating_status: operating, flavor: { id: '1' }, volume: { size: 1 }, ...rest },
  operations: latest,
})
const serving = view('ACTIVE', 'HEALTHY')
const fault = { fault: { message: 'it was cancelled' } }

describe('operations', () => {
  it('are open while they run, are undone or are parked', () => {
    const open = ['RUNNING', 'UNDOING', 'PARKED'].map(status => operation('restart', status, 'why'))
    const views = [view('REBOOT', '', [...open, operation('restart', 'FAILED'), CREATED])]
    expect(openOperations(views)).toEqual([
      expect.stringContaining('restart of i is RUNNING'),
      expect.stringContaining('restart of i is UNDOING'),
      expect.stringContaining('restart of i is PARKED'),
    ])
    expect(openOperations([serving])).toEqual([])
  })
})

describe('the end state of an instance', () => {
  it.each([
    ['serves', serving],
    ['was stopped', view('ACTIVE', 'SHUTDOWN', [operation('stop_db', 'DONE'), CREATED])],
    ['was cancelled', view('ERROR', '', [operation('create_instance', 'CANCELLED')], fault)],
    ['was cancelled and reset', view('SHUTDOWN', '', [operation('create_instance', 'CANCELLED')])],
    ['lost a rebuild and was reset', view('SHUTDOWN', '', [operation('rebuild', 'CANCELLED'), CREATED])],
    ['lost a rebuild', view('ERROR', '', [operation('rebuild', 'FAILED'), CREATED], fault)],
  ])('is good if it %s', (_, state) => {
    expect(endStateProblem(state)).toBeUndefined()
  })

  it.each([
    ['restarts for ever', view('ACTIVE', 'RESTARTING')],
    ['has a silent agent', view('ACTIVE', 'ERROR')],
    ['is down though nobody stopped it', view('ACTIVE', 'SHUTDOWN')],
    [
      'is down after a restart',
      view('ACTIVE', 'SHUTDOWN', [operation('restart', 'DONE'), operation('stop_db', 'DONE')]),
    ],
    ['crashed after it was stopped', view('ACTIVE', 'SHUTDOWN', [operation('stop_db', 'DONE'), CREATED], fault)],
    ['failed without a reason', view('ERROR', '', [operation('create_instance', 'FAILED')])],
    ['is in ERROR though it was created', view('ERROR', '', [operation('restart', 'FAILED'), CREATED], fault)],
    ['still builds', view('BUILD', '', [operation('create_instance', 'RUNNING')])],
    ['shows a delete', view('SHUTDOWN', '')],
    ['has no server after a rebuild', view('SHUTDOWN', '', [operation('rebuild', 'DONE'), CREATED])],
  ])('is a problem if it %s', (_, state) => {
    expect(endStateProblem(state)).toContain('instance i is')
  })

  it('is stopped only until it is started', () => {
    const stop = operation('stop_db', 'DONE')
    expect(isStopped(view('ACTIVE', 'SHUTDOWN', [operation('restart', 'FAILED'), stop]))).toBe(true)
    expect(isStopped(view('ACTIVE', 'HEALTHY', [stop]))).toBe(false)
  })
})

describe('what is reserved', () => {
  const quotas = (instances: number, ram: number, volumes: number, reserved = 0) => [
    { resource: 'instances', in_use: instances, reserved },
    { resource: 'ram', in_use: ram, reserved },
    { resource: 'volumes', in_use: volumes, reserved },
    { resource: 'backups', in_use: 0, reserved: 0 },
  ]
  const large = view('ACTIVE', 'HEALTHY', [CREATED], { flavor: { id: '2' }, volume: { size: 3 } })
  const cancelled = view('ERROR', '', [operation('create_instance', 'CANCELLED')], fault)
  const views = [serving, large, cancelled, { ...serving, owner: 'alt' }]

  it('of the quota is what the instances of that project take; one whose create was cancelled only counts', () => {
    expect(quotaProblems('demo', quotas(3, 1_536, 4), views)).toEqual([])
    expect(quotaProblems('nobody', quotas(0, 0, 0), views)).toEqual([])
  })

  it.each([
    ['instances', quotas(2, 1_536, 4)],
    ['ram', quotas(3, 1_024, 4)],
    ['volumes', quotas(3, 1_536, 5)],
  ])('of the quota %s differs', (resource, used) => {
    expect(quotaProblems('demo', used, views)).toEqual([expect.stringContaining(`the quota ${resource} of demo`)])
  })

  it('of the quota is not what is only reserved', () => {
    expect(quotaProblems('demo', quotas(3, 1_536, 4, 1), views)).toHaveLength(3)
  })

  it('of the host is the memory of all instances', () => {
    expect(memoryProblems({ name: 'local', usedRAM: 2_048 }, views)).toEqual([])
    expect(memoryProblems({ name: 'local', usedRAM: 2_560 }, views)).toEqual([expect.stringContaining('2560 MB')])
  })
})

describe('the fleet', () => {
  const entry = (id: string, fields = {}) => ({
    ...newEntry({ id, owner: 'demo', name: id, hasBase: true }),
    ...fields,
  })

  it('is what was created and not deleted', () => {
    const entries = [entry('i'), entry('gone', { isDeleteSent: true, isDeleted: true })]
    expect(fleetProblems(entries, [serving])).toEqual([])
  })

  it('may have lost an instance whose delete had no answer', () => {
    expect(fleetProblems([entry('i', { isDeleteSent: true })], [])).toEqual([])
  })

  it.each([
    ['has disappeared', [entry('i'), entry('other')]],
    ['is still there', [entry('i', { isDeleteSent: true, isDeleted: true })]],
    ['no request for it was answered', []],
  ])('has a problem if an instance %s', (words, entries) => {
    expect(fleetProblems(entries, [serving])).toEqual([expect.stringContaining(words)])
  })
})
