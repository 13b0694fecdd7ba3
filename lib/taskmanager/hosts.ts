import { hostTopic } from '../contracts/conductor.ts'
import { elapsedMs } from '../kit/clock.ts'
import { messageOf } from '../kit/errors.ts'
import { type Stored, withOptimisticRetry } from '../kit/records.ts'
import { timestampZ } from '../kit/time.ts'
import { HOSTS_PROJECT, type Host, hosts, instancesOn, isHostRemoved } from '../model/host.ts'
import {
  type Instance,
  instanceSubject,
  instances,
  isBusyOrBroken,
  reportServer,
  serverOf,
  volumeOf,
} from '../model/instance.ts'
import { machineStates, recordGone } from '../platform/machine-state.ts'
import type { Platform } from '../platform/platform.ts'
import { wakeOperationsOf } from './runner.ts'

/** How often a silent host is looked at again: operations may have ended on its instances since. */
const SILENT_AGAIN_MS = 30_000

/** Acts on a host that is due: it has fallen silent or is silent still, it reports again, or it was removed. */
export async function processHost(platform: Platform, { body }: Stored<Host>): Promise<void> {
  const { id, state, silentSince } = body
  if (state === 'removed') return endRemoved(platform, id)
  if (!hasExpired(platform, body)) return silentSince === undefined ? undefined : endSilence(platform, id, silentSince)
  await showSilence(platform, id)
}

const hasExpired = ({ clock }: Pick<Platform, 'clock'>, { lastReport, leaseMs = Infinity }: Host): boolean =>
  elapsedMs(clock.now(), lastReport) >= leaseMs

/** Replaces a host's record, or leaves it as it is if `change` returns undefined. Returns what it has become. */
function updateHost(
  { store }: Platform,
  id: string,
  change: (host: Host) => { body: Host; due: number | undefined } | undefined,
): Promise<Host | undefined> {
  return withOptimisticRetry(store, async () => {
    const item = await hosts.get(store, HOSTS_PROJECT, id)
    const next = item && change(item.body)
    if (!next) return { changes: [], result: undefined }
    return { changes: [hosts.replace(item, next.body, { due: next.due })], result: next.body }
  })
}

/** Marks the host silent first, so that nothing is placed on it; its instances then say why they are in ERROR. */
async function showSilence(platform: Platform, id: string): Promise<void> {
  const { clock, log } = platform
  const silent = await updateHost(platform, id, host => {
    if (host.state === 'removed' || !hasExpired(platform, host)) return undefined
    if (host.silentSince !== host.lastReport) log.warn({ host: id, since: host.lastReport }, 'host is silent')
    // Stays due, so that a process that dies half-way has a successor.
    return { body: { ...host, silentSince: host.lastReport }, due: clock.now() }
  })
  if (silent?.silentSince === undefined) return
  const since = silent.silentSince
  const fault = `Host ${id} has not reported since ${timestampZ(since)}.`
  const isStillSilent = (host: Host) => host.silentSince === since && host.lastReport === since
  await changeInstances(platform, id, isStillSilent, async instance =>
    reportServer(instance, { status: 'ERROR', fault }, clock.now()),
  )
  await updateHost(platform, id, body =>
    isStillSilent(body) ? { body, due: clock.now() + SILENT_AGAIN_MS } : undefined,
  )
}

/** Gives the instances of a host that reports again the states that it last reported of them. */
async function endSilence(platform: Platform, id: string, since: number): Promise<void> {
  const { compute, clock } = platform
  const hasReturned = (host: Host) =>
    host.silentSince === since && host.state !== 'removed' && host.lastReport !== since
  await changeInstances(platform, id, hasReturned, async instance => {
    const state = await compute.server(instance.project, serverOf(instance))
    return state && reportServer(instance, state, clock.now())
  })
  await updateHost(platform, id, host => {
    if (!hasReturned(host)) return undefined
    const { silentSince: _, ...body } = host
    return { body, due: host.leaseMs === undefined ? undefined : host.lastReport + host.leaseMs }
  })
}

/** Whatever was on a removed host is gone: operations that wait for it end, and instances can only be deleted. */
async function endRemoved(platform: Platform, id: string): Promise<void> {
  const { store, clock, queue, log } = platform
  for await (const { body: instance } of instancesOn(store, id)) {
    const parts = await machineStates.ofSubject(store, instanceSubject(instance.id), { limit: 100 })
    const recorded = parts.map(({ key }) => key.id.slice('machine#'.length))
    for (const name of new Set([...recorded, serverOf(instance), volumeOf(instance)])) {
      await recordGone(store, clock.now(), { project: instance.project, instance: instance.id, name })
    }
    await wakeOperationsOf(platform, instance)
  }
  const isRemoved = ({ state }: Host) => state === 'removed'
  await changeInstances(platform, id, isRemoved, async instance =>
    reportServer(instance, { status: 'GONE', fault: `Host ${id} was removed.` }, clock.now()),
  )
  // It may have been started again meanwhile.
  if (!(await isHostRemoved(store, id))) return
  await queue.remove(hostTopic(id)).catch(error => log.warn({ host: id, error: messageOf(error) }, 'topic not removed'))
  await updateHost(platform, id, body => (isRemoved(body) ? { body, due: undefined } : undefined))
}

/**
 * Changes each instance of a host that has a server and is idle, as long as `isCurrent`: a host that reports meanwhile
 * must not get the fault of before.
 */
async function changeInstances(
  { store }: Platform,
  id: string,
  isCurrent: (host: Host) => boolean,
  change: (instance: Instance) => Promise<Instance | undefined>,
): Promise<void> {
  for await (const { body } of instancesOn(store, id)) {
    await withOptimisticRetry(store, async () => {
      const host = await hosts.get(store, HOSTS_PROJECT, id)
      const item = await instances.get(store, body.project, body.id)
      if (!host || !isCurrent(host.body) || !item || !showsServer(item.body)) return { changes: [], result: undefined }
      const next = await change(item.body)
      if (!next || JSON.stringify(next) === JSON.stringify(item.body)) return { changes: [], result: undefined }
      const unchanged = { op: 'check', key: host.key, was: host.version } as const
      return { changes: [instances.replace(item, next), unchanged], result: undefined }
    })
  }
}

/** Whether the instance shows its server's state: no operation runs on it or has left it broken, and there is a server. */
const showsServer = (instance: Instance): boolean =>
  !isBusyOrBroken(instance) && instance.server !== undefined && instance.server.status !== 'GONE'
