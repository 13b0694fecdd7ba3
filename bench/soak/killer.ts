import { setTimeout as sleep } from 'node:timers/promises'
import type { SoakedCoffer } from './coffer.ts'
import type { Journal, Kill } from './journal.ts'
import { KINDS, killProcess, type Victim, victimsOf } from './processes.ts'
import type { Random } from './random.ts'

/**
 * Coffer gives up a database that ends five times in two minutes, and an agent that ends five times in one. Such a
 * rescue is not what a soak looks for, so a process of one instance is ended three times at most in that time.
 */
const SPARED = { kills: 3, withinMs: 125_000 }

/** Kills a random process after each random time until `signal` is aborted. */
export async function killAtRandom(
  coffer: SoakedCoffer,
  meanMs: number,
  random: Random,
  journal: Journal,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(random.exponential(meanMs), undefined, { signal }).catch(() => undefined)
    if (signal.aborted) return
    const victim = chooseVictim(victimsOf(coffer.dataDir, coffer.control), journal.kills, random, Date.now())
    if (!victim) continue
    const { kind, instance, process } = victim
    const isKilled = kind === 'control' ? await coffer.kill() : await killProcess(process)
    const kill = { at: Date.now(), kind, pid: process.pid }
    if (isKilled) journal.kill({ ...kill, ...(instance !== undefined && { instance }) })
  }
}

/** A victim of a random kind that there is; undefined if nobody can be killed. */
export function chooseVictim(victims: Victim[], kills: Kill[], random: Random, now: number): Victim | undefined {
  const candidates = victims.filter(({ kind, instance }) => {
    const recent = kills.filter(kill => kill.at > now - SPARED.withinMs && kill.kind === kind)
    return instance === undefined || recent.filter(kill => kill.instance === instance).length < SPARED.kills
  })
  const kinds = KINDS.filter(kind => candidates.some(candidate => candidate.kind === kind))
  if (kinds.length === 0) return undefined
  const kind = random.pick(kinds)
  return random.pick(candidates.filter(candidate => candidate.kind === kind))
}
