import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from '@jest/globals'
import pg from 'pg'
import { type Answer, type Coffer, processesOf, type Session, startCoffer, until } from './coffer.ts'

/** A dead runner's lease would take 75 s. */
export const SOON_MS = 45_000

export type Victim = 'control' | 'agent' | 'host' | 'database' | 'everything'
export const VICTIMS: Victim[] = ['control', 'agent', 'host', 'database', 'everything']

export type Instance = Answer['body']

export const USERS = {
  databases: [{ name: 'cart' }],
  users: [{ name: 'ann', password: 'pw1', databases: [{ name: 'cart' }] }],
}

/** A session of ann's (or of whom `more` says); it may be cut off at any time. */
export async function connected(
  { addresses: [{ address, port = 5432 }] }: Instance,
  more: pg.ClientConfig = {},
): Promise<pg.Client> {
  const client = new pg.Client({ host: address, port, user: 'ann', password: 'pw1', database: 'cart', ...more })
  client.on('error', () => {})
  await client.connect()
  return client
}

export const hostPid = ({ dataDir }: Coffer): number => JSON.parse(readFileSync(join(dataDir, 'host.pid'), 'utf8')).pid

export const agentPids = ({ dataDir }: Coffer): number[] =>
  processesOf(dataDir)
    .filter(({ args }) => args.includes('guest-agent.mjs'))
    .map(({ pid }) => pid)

/** Postmasters of instances: neither their children, who have other titles, nor an initdb's. */
export function databasePids({ dataDir }: Coffer, volume = ''): number[] {
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

export function signal(pid: number, name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
  expect(pid).toBeGreaterThan(1)
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
  }
}

/**
 * Kills; `release` lets go on what was held up; what does not come back by itself is started again. Answers the cloud
 * that runs then: sessions of the one before are void where it was a victim.
 */
export async function killed(coffer: Coffer, victim: Victim, release: () => void): Promise<Coffer> {
  const pids = new Set(pidsOf(coffer, victim))
  expect(pids.size).toBeGreaterThan(0)
  for (const pid of pids) signal(pid, 'SIGKILL')
  release()
  if (victim !== 'control' && victim !== 'everything') return coffer
  await coffer.kill()
  return startCoffer(coffer.dataDir)
}

/** Resolves once the instance's latest operation has come to that step (or past it); to the step where it is. */
export function at(session: Session, { id }: Instance, step: string): Promise<string> {
  return until(`step ${step}`, async () => {
    const { status, body } = await session.call('GET', `/instances/${id}/operations`)
    if (status === 404) return 'gone'
    const [{ step: now, steps }] = body.operations
    return (now === null || steps.indexOf(now) >= steps.indexOf(step)) && String(now)
  })
}
