import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect } from '@jest/globals'
import pg from 'pg'
import { endpointOf } from './api-helpers.ts'
import { ANN } from './cloud.ts'
import { type Answer, type Coffer, processesOf, type Session, startCoffer, until } from './coffer.ts'

/** Within this time everything recovers from a kill. The lease of a dead saga runner alone would take 75 s. */
export const RECOVERY_MS = 45_000

export type Victim = 'control' | 'agent' | 'host' | 'database' | 'everything'
export const VICTIMS: Victim[] = ['control', 'agent', 'host', 'database', 'everything']

export type Instance = Answer['body']

type DataDir = Pick<Coffer, 'dataDir'>

/** A session of ann (or of the user in `config`). It may be cut off at any time. */
export async function connect(instance: Instance, config: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ ...endpointOf(instance), ...ANN, ...config })
  client.on('error', () => {})
  await client.connect()
  return client
}

export const hostPid = ({ dataDir }: DataDir): number => JSON.parse(readFileSync(join(dataDir, 'host.pid'), 'utf8')).pid

export const agentPids = ({ dataDir }: DataDir): number[] =>
  processesOf(dataDir)
    .filter(({ args }) => args.includes('guest-agent.mjs'))
    .map(({ pid }) => pid)

/** The postmasters of instances: not their children, which have other titles, and not the server of an initdb. */
export function databasePids({ dataDir }: DataDir, volume = ''): number[] {
  const path = join(dataDir, 'volumes', volume)
  return processesOf(dataDir)
    .filter(({ args }) => args.includes(`/bin/postgres -D ${path}`))
    .map(({ pid }) => pid)
}

function pidsOf(coffer: Coffer, victim: Victim): number[] {
  if (victim === 'control') return [coffer.pid]
  if (victim === 'host') return [hostPid(coffer)]
  if (victim === 'agent') return agentPids(coffer)
  if (victim === 'database') return databasePids(coffer)
  return [coffer.pid, hostPid(coffer), ...processesOf(coffer.dataDir).map(({ pid }) => pid)]
}

export function sendSignal(pid: number, name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  expect(pid).toBeGreaterThan(1)
  try {
    process.kill(pid, name)
  } catch {
    // The process has ended by itself.
  }
}

/**
 * Pauses the host daemon while `work` runs, or until that calls `release`: creates and deletes that are requested
 * meanwhile stay where they are. Test files that share a cloud take turns, so that none ends the pause of another.
 */
export async function withHostPaused<T>(coffer: DataDir, work: (release: () => void) => Promise<T>): Promise<T> {
  const lock = join(dirname(coffer.dataDir), 'host-paused')
  await until('turn to pause the host', async () => tryMakeFolder(lock))
  const pid = hostPid(coffer)
  const release = () => sendSignal(pid, 'SIGCONT')
  try {
    sendSignal(pid, 'SIGSTOP')
    return await work(release)
  } finally {
    release()
    rmSync(lock, { recursive: true })
  }
}

function tryMakeFolder(path: string): boolean {
  try {
    mkdirSync(path)
    return true
  } catch {
    return false
  }
}

/**
 * Kills the victim and calls `release`, which lets go on what the test has paused. What does not come back by itself is
 * started again. Returns the cloud that runs then: after `control` and `everything` it is another process.
 */
export async function killAndRestart(
  coffer: Coffer,
  victim: Victim,
  release: () => void,
  args: string[] = [],
): Promise<Coffer> {
  const pids = new Set(pidsOf(coffer, victim))
  expect(pids.size).toBeGreaterThan(0)
  for (const pid of pids) sendSignal(pid, 'SIGKILL')
  release()
  if (victim !== 'control' && victim !== 'everything') return coffer
  await coffer.kill()
  return startCoffer(coffer.dataDir, args)
}

/** Resolves to the step of the instance's latest operation once it has reached that step or passed it. */
export function waitForStep(session: Session, { id }: Instance, step: string): Promise<string> {
  return until(`step ${step}`, async () => {
    const { status, body } = await session.call('GET', `/instances/${id}/operations`)
    if (status === 404) return 'gone'
    const [{ step: current, steps }] = body.operations
    expect(steps).toContain(step)
    return (current === null || steps.indexOf(current) >= steps.indexOf(step)) && String(current)
  })
}
