import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import {
  commandsOf,
  countByType,
  folderLeftovers,
  groupLeftovers,
  metricLeftovers,
  operationsByEnd,
  processLeftovers,
  recordLeftovers,
} from '../../../bench/soak/leftovers.ts'

const row = (id: string, body: object = {}, expires: number | null = null) => ({
  id,
  body: JSON.stringify(body),
  expires,
})

describe('records', () => {
  it('of identity, hosts and datastores stay, and memories that end', () => {
    const lasting = ['user', 'username', 'project', 'grant', 'host', 'datastore', 'ca', 'limits'].map(type =>
      row(`${type}#x`),
    )
    const ending = ['tombstone', 'audit', 'idempotency', 'saga', 'command', 'machine', 'answer', 'guest'].map(type =>
      row(`${type}#x`, {}, 5),
    )
    const amounts = [row('quota#ram', { used: 0 }), row('quota#volumes'), row('host-use#local', { ramMb: 0 })]
    expect(recordLeftovers([...lasting, ...ending, ...amounts])).toEqual([])
  })

  it.each([
    row('instance#x'),
    row('instance#x', {}, 5),
    row('id#x'),
    row('root#x'),
    row('guest#x'),
    row('command#x#1'),
    row('saga#x'),
    row('machine#x'),
    row('answer#x'),
    row('quota#ram', { used: 512 }),
    row('host-use#local', { ramMb: 512 }),
    row('something-new#x'),
  ])('are left over: $id $expires', record => {
    expect(recordLeftovers([record])).toEqual([expect.stringContaining(record.id)])
  })

  it('are counted by their type', () => {
    expect(countByType([row('user#a'), row('audit#b'), row('user#c')])).toEqual([
      ['audit', 1],
      ['user', 2],
    ])
  })

  it('tell how commands and operations ended', () => {
    const rows = [
      row('command#i#1', { requestId: 'r', method: 'create_user', status: 'issued' }),
      row('saga#1', { name: 'restart', status: 'DONE', error: 'once' }),
      row('saga#2', { name: 'restart', status: 'FAILED', error: 'why' }),
      row('saga#3', { name: 'restart', status: 'DONE' }),
    ]
    expect(commandsOf(rows)).toEqual([expect.objectContaining({ requestId: 'r', status: 'issued' })])
    expect(operationsByEnd(rows)).toEqual([
      ['restart DONE', 2],
      ['restart FAILED: why', 1],
    ])
  })
})

describe('folders', () => {
  let dataDir = ''
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'coffer-test-'))
  })
  afterEach(() => {
    expect(basename(dataDir)).toMatch(/^coffer-test-.+/)
    rmSync(dataDir, { recursive: true })
  })

  it('without instances have nothing, or are missing', () => {
    mkdirSync(join(dataDir, 'volumes'))
    mkdirSync(join(dataDir, 'state', 'deleted'), { recursive: true })
    writeFileSync(join(dataDir, 'state', 'deleted', 'server-x-1.json'), '')
    expect(folderLeftovers(dataDir)).toEqual([])
  })

  it.each(['volumes', 'servers', join('state', 'volumes'), join('state', 'servers')])('show what is in %s', folder => {
    mkdirSync(join(dataDir, folder), { recursive: true })
    writeFileSync(join(dataDir, folder, 'planted'), '')
    expect(folderLeftovers(dataDir)).toEqual([`${folder}/planted is left`])
  })

  it.each(['coffer', 'pids/coffer', 'unified/system.slice/coffer'])(
    'of control groups in %s show ours only',
    parent => {
      for (const name of ['server-ours-1.200001', 'server-theirs-1.200002']) {
        mkdirSync(join(dataDir, parent, name), { recursive: true })
      }
      expect(groupLeftovers(['ours'], dataDir)).toEqual([`the control group ${parent}/server-ours-1.200001 is left`])
      expect(groupLeftovers([], dataDir)).toEqual([])
    },
  )
})

describe('processes', () => {
  const running = (pid: number) => ({ pid, started: '1', parent: 1, uid: 200_007, args: 'sleep', cwd: '/' })

  it('are left over unless they serve', () => {
    expect(processLeftovers([running(7), running(8)], [8, undefined])).toEqual([
      expect.stringContaining('process 7 of uid 200007 is left'),
    ])
  })
})

describe('metrics', () => {
  it.each([
    'coffer_queue_messages{topic="conductor",state="ready"} 1',
    'coffer_guests 1',
    'coffer_guests_silent 2',
    'coffer_operations{name="restart",status="RUNNING"} 1',
  ])('show %s', line => {
    expect(metricLeftovers(`# HELP x\ncoffer_requests_total{status="200"} 9\n${line}\n`)).toEqual([
      `the metrics still have ${line}`,
    ])
  })

  it('show nothing where all is 0', () => {
    expect(metricLeftovers('coffer_guests 0\ncoffer_queue_messages{topic="conductor",state="ready"} 0\n')).toEqual([])
  })
})
