import { z } from 'zod'
import { DatabaseSpec } from '../databases/database.ts'
import { chooseVersion } from '../datastores/catalog.ts'
import { type Flavor, findFlavor } from '../flavors/flavor.ts'
import { guestClient, guests, newGuest } from '../guests/guest.ts'
import { badRequest, notFound, notImplemented, overLimit, Permanent } from '../kit/errors.ts'
import { assertStorable, validated } from '../kit/http/parse.ts'
import type { Call, Reply } from '../kit/http/route.ts'
import { beginning, ownerOf, type Running, saga } from '../kit/saga/saga.ts'
import { ringOperation } from '../operations/operation.ts'
import type { Platform } from '../platform/platform.ts'
import { MAX_VOLUME_GB, quotaChanges, transactWithin } from '../quotas/quota.ts'
import { checkedDatabases, checkedUsers } from '../users/names.ts'
import { UserSpec } from '../users/user.ts'
import { createAgain } from './create-again.ts'
import type { CreateBody } from './create-body.ts'
import { findInstance, type Instance, instances, pointers, type Task, volumeOf } from './instance.ts'
import { current, engineOf, isActive, isGone, ramOf, remove } from './parts.ts'
import { serverStep } from './server.ts'
import { detail } from './view.ts'

/** What the saga is asked for: what is nowhere else in the store. */
const CreateRequest = z.object({ databases: z.array(DatabaseSpec), users: z.array(UserSpec) })
type CreateRequest = z.infer<typeof CreateRequest>

/** How long the agent may need until its database serves. */
const RUNNING_MS = 10 * 60_000

// ── check ────────────────────────────────────────────────────────────────────

async function check(call: Call<z.infer<typeof CreateBody>, Platform>) {
  const wanted = call.body.instance
  assertStorable(wanted)
  await refuseReplica(call, wanted)
  const flavor = chooseFlavor(wanted.flavorRef ?? wanted.flavor)
  const { manifest, version } = await chooseVersion(call.deps, plain(wanted.datastore))
  if (!wanted.volume) throw badRequest('Volume size was not specified.')
  if (wanted.volume.size > MAX_VOLUME_GB) {
    throw overLimit(
      `Volume 'size' cannot exceed maximum of ${MAX_VOLUME_GB} GB, ${wanted.volume.size} cannot be accepted.`,
    )
  }
  refuseWhatIsNotThere(wanted)
  for (const { subnet_id, ip_address } of wanted.nics ?? []) {
    if (ip_address !== undefined && subnet_id === undefined) throw badRequest('An ip_address needs its subnet_id.')
  }
  const databases = checkedDatabases(manifest, wanted.databases ?? [])
  const users = checkedUsers(manifest, wanted.users ?? [], databases)
  return { wanted, flavor, manifest, version, sizeGb: wanted.volume.size, databases, users }
}

/** What a replica takes over from its source, and must not be given. */
const FROM_SOURCE = ['flavorRef', 'flavor', 'datastore', 'volume', 'locality', 'databases', 'users'] as const

/** There are no replicas yet. Throws as Trove does until then: 400 for what does not go together, 404 without a source. */
async function refuseReplica(call: Call<unknown, Platform>, wanted: CreateBody): Promise<void> {
  const source = wanted.replica_of ?? wanted.slave_of
  if (!source) {
    if (wanted.replica_count) throw badRequest('replica_count goes with replica_of only.')
    return
  }
  const given = FROM_SOURCE.find(key => wanted[key] !== undefined && wanted[key] !== null)
  if (given) throw badRequest(`'${given}' cannot be specified when creating a replica.`)
  await findInstance(call.deps, call, source)
  throw notImplemented('Replicas are not supported by this datastore version.')
}

/** Things an instance could be made from or with, of which there are none yet. */
function refuseWhatIsNotThere(wanted: CreateBody): void {
  if (wanted.restorePoint) throw notFound(`Backup ${wanted.restorePoint.backupRef} cannot be found.`)
  if (wanted.configuration) throw notFound(`Configuration ${wanted.configuration} cannot be found.`)
  const [module] = wanted.modules ?? []
  if (module) throw notFound(`Module ${module.id} cannot be found.`)
}

function chooseFlavor(ref: CreateBody['flavorRef'] | CreateBody['flavor']): Flavor {
  if (ref === undefined) throw badRequest('Resource None cannot be found.')
  const id = typeof ref === 'object' ? ref.id : ref
  const flavor = findFlavor(id)
  if (!flavor) throw badRequest(`Flavor ${id} cannot be found.`)
  return flavor
}

const plain = (wanted: CreateBody['datastore']) => ({
  type: wanted?.type ?? undefined,
  version: wanted?.version ?? undefined,
  version_number: wanted?.version_number ?? undefined,
})

// ── request ──────────────────────────────────────────────────────────────────

/** `POST /instances`: checks, and writes instance, quota and operation in one transaction. The work is the saga's. */
export async function requestCreate(call: Call<z.infer<typeof CreateBody>, Platform>): Promise<Reply> {
  const { deps, project, requestId } = call
  const asked = await check(call)
  const now = deps.clock.now()
  const instance = newInstance(call, asked, now)
  const { id } = instance
  const operation = { id: deps.random.uuid(), name: 'create_instance' as const }
  instance.operation = operation
  const request = await deps.vault.lock(CreateRequest, asked, ownerOf(project, operation.id))
  const amounts = { instances: 1, ram: asked.flavor.ram, volumes: asked.sizeGb }
  await transactWithin(deps.store, project, amounts, [
    instances.create(project, id, instance),
    pointers.create('*', id, { project }),
    guests.create(project, id, newGuest(instance, now), { instance: id }),
    beginning({ ...operation, project, instance: id, requestId, request: validated(CreateRequest, request) }, now),
  ])
  await ringOperation(deps, { ...operation, project, instance: id, requestId })
  return { status: 200, body: { instance: detail(instance, { ...call, now }) } }
}

function newInstance(
  { project, deps }: Call<unknown, Platform>,
  { wanted, flavor, manifest, version, sizeGb }: Awaited<ReturnType<typeof check>>,
  now: number,
): Instance {
  return {
    id: deps.random.uuid(),
    project,
    name: wanted.name,
    created: now,
    updated: now,
    generation: 1,
    flavor: String(flavor.id),
    volume: { sizeGb, generation: 1, ...(wanted.volume?.type && { type: wanted.volume.type }) },
    datastore: {
      type: manifest.name,
      manager: manifest.manager,
      versionId: version.id,
      versionName: version.name,
      version: version.version,
      engine: version.engine,
    },
    task: 'BUILDING',
    ...(wanted.region_name && { region: wanted.region_name }),
    ...(wanted.locality && { locality: wanted.locality }),
    ...(wanted.access && { access: wanted.access }),
  }
}

// ── saga ─────────────────────────────────────────────────────────────────────

type Run = Running<CreateRequest, Platform>

/** What an instance that failed at a step is shown to have failed at. */
const ERROR_OF: Record<string, Task> = { volume: 'BUILDING_ERROR_VOLUME', server: 'BUILDING_ERROR_SERVER' }

/** A failed create gives back server and volume and leaves the record in ERROR, with the reason. */
export const createInstance = saga<CreateRequest, Platform>('create_instance', CreateRequest, {
  again: (deps, ended, next) => createAgain(deps, ended, next),
  async settled(run, outcome) {
    const item = await instances.get(run.deps.store, run.project, run.instance)
    if (!item) return []
    const { operation, ...kept } = item.body
    const now = run.deps.clock.now()
    if (outcome === 'done') return [instances.replace(item, { ...kept, task: 'NONE', updated: now })]
    const returned = quotaChanges(run.project, { ram: -ramOf(kept), volumes: -kept.volume.sizeGb })
    // Another operation has taken over, and set the task already.
    if (operation?.id !== run.id) return [...returned, instances.replace(item, { ...item.body, gaveBack: true })]
    const { server: _, ...bare } = kept
    const fault = { message: run.error ?? 'failed', created: now, details: null }
    return [...returned, instances.replace(item, { ...bare, gaveBack: true, task: failedAt(run), fault, updated: now })]
  },
})
  .step('volume', {
    async do(run) {
      const { deps, project, instance } = run
      const now = await current(run)
      const { generation, volume, datastore } = now
      const spec = { name: volumeOf(now), instance, project, generation, sizeGb: volume.sizeGb }
      await deps.compute.createVolume({ ...spec, datastore: engineOf(datastore) })
    },
    waitFor: 'update_volume',
    until: async run => isActive(await run.deps.compute.volume(run.project, volumeOf(await current(run)))),
    undo: run => remove(run, 'volume'),
    undone: run => isGone(run, 'volume'),
  })
  .step('server', serverStep)
  .step('prepared', {
    do: async run => {
      await prepare(run)
    },
  })
  .step('running', {
    waitFor: 'heartbeat, notify_end',
    deadlineMs: RUNNING_MS,
    async until(run) {
      const row = await prepare(run)
      if (row.status === 'failed') throw new Permanent(row.error?.message ?? 'The database could not be prepared.')
      const { service } = await current(run)
      if (service?.status === 'failed') throw new Permanent(service.message ?? 'The database server failed.')
      return row.status === 'done' && (service?.status === 'running' || service?.status === 'healthy')
    },
  })

function prepare({ deps, project, instance, requestId, request, id }: Run) {
  const asking = { project, instance, requestId, once: `${id}/prepare` }
  return current({ deps, project, instance }).then(({ datastore, access }) =>
    guestClient(deps, asking).prepare({
      ...request,
      datastore_version: datastore.versionName,
      allowed_cidrs: access?.allowed_cidrs ?? [],
    }),
  )
}

function failedAt({ failedStep }: Run): Task {
  return ERROR_OF[failedStep ?? ''] ?? 'BUILDING_ERROR_TIMEOUT_GA'
}
