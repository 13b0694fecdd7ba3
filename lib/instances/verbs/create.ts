import { z } from 'zod'
import { agentRecords, guestClient } from '../../agents/agent.ts'
import { newAgentRecord } from '../../agents/enrol-secret.ts'
import { DatabaseSpec } from '../../contracts/guest/databases.ts'
import { UserSpec } from '../../contracts/guest/users.ts'
import type { Manifest } from '../../datastores/manifest.ts'
import { badRequest, notFound, notImplemented, overLimit, TerminalError } from '../../kit/errors.ts'
import { assertFitsRecord, parseAs } from '../../kit/http/parse.ts'
import type { Call, Mutation } from '../../kit/http/route.ts'
import { PositiveInt, Reference, Uuid } from '../../kit/http/schemas.ts'
import { type SagaRun, saga, sagaRecord, secretOwner } from '../../kit/saga/saga.ts'
import { chooseVersion, engineOfInstance, manifestOf, requireCapability } from '../../model/catalog.ts'
import { checkDatabases, NewDatabases } from '../../model/database.ts'
import { type Flavor, findFlavor, ramQuota } from '../../model/flavor.ts'
import {
  beginOperation,
  endFailedCreate,
  endOperation,
  findInstance,
  type Instance,
  instanceSubject,
  instances,
  partOf,
  projectIndex,
  reloadInstance,
  volumeOf,
} from '../../model/instance.ts'
import { Access, InstanceName, Nic } from '../../model/instance-fields.ts'
import { chooseHost } from '../../model/placement.ts'
import { MAX_VOLUME_GB, memoryChanges, reservationChanges, reserveQuota } from '../../model/quota.ts'
import { checkUsers, NewUsers } from '../../model/user.ts'
import { isActive } from '../../platform/machine-state.ts'
import type { Platform } from '../../platform/platform.ts'
import { operationMessage } from '../../taskmanager/runner.ts'
import type { Failure } from '../../trove/operations.ts'
import { createServerStep } from '../steps/create-server.ts'
import { isRemoved, requestRemoval } from '../steps/machine.ts'
import { prepareRetry } from '../steps/retry-create.ts'
import { detail } from '../view.ts'

/** What `POST /instances` takes. Unknown keys are ignored, as in Trove. */
export const CreateBody = z.object({
  instance: z.object({
    name: InstanceName,
    flavorRef: Reference.optional(),
    /** What openstacksdk sends instead of flavorRef. */
    flavor: z.union([Reference, z.object({ id: Reference })]).optional(),
    volume: z.object({ size: PositiveInt, type: z.string().max(255).nullish() }).optional(),
    datastore: z
      .object({ type: z.string().nullish(), version: z.string().nullish(), version_number: z.string().nullish() })
      .nullish(),
    databases: NewDatabases.nullish(),
    users: NewUsers.nullish(),
    nics: z.array(Nic).max(1, 'may have one network only').nullish(),
    availability_zone: z.string().max(255).nullish(),
    configuration: Uuid.nullish(),
    restorePoint: z.object({ backupRef: Uuid }).nullish(),
    replica_of: Uuid.nullish(),
    slave_of: Uuid.nullish(),
    replica_count: z.int().min(1).max(3).nullish(),
    modules: z.array(z.object({ id: Uuid })).nullish(),
    locality: z.enum(['affinity', 'anti-affinity', 'soft-affinity', 'soft-anti-affinity']).nullish(),
    region_name: z.string().max(255).nullish(),
    access: Access.nullish(),
  }),
})
type InstanceSpec = z.infer<typeof CreateBody>['instance']

/** The request of the saga: what is stored nowhere else. */
const CreateRequest = z.object({ databases: z.array(DatabaseSpec), users: z.array(UserSpec) })
type CreateRequest = z.infer<typeof CreateRequest>

/** How long the agent may take until its database serves. */
const SERVING_DEADLINE_MS = 10 * 60_000

// ── check ────────────────────────────────────────────────────────────────────

/** Everything that can be checked before anything is written. */
async function check(call: Call<z.infer<typeof CreateBody>, Platform>) {
  const spec = call.body.instance
  assertFitsRecord(spec)
  await rejectReplica(call, spec)
  const flavor = chooseFlavor(spec.flavorRef ?? spec.flavor)
  const { manifest, version } = await chooseVersion(call.deps, datastoreRef(spec.datastore))
  if (!spec.volume) throw badRequest('Volume size was not specified.')
  const sizeGb = spec.volume.size
  if (sizeGb > MAX_VOLUME_GB) {
    throw overLimit(`Volume 'size' cannot exceed maximum of ${MAX_VOLUME_GB} GB, ${sizeGb} cannot be accepted.`)
  }
  rejectUnsupported(spec)
  for (const { subnet_id, ip_address } of spec.nics ?? []) {
    if (ip_address !== undefined && subnet_id === undefined) throw badRequest('An ip_address needs its subnet_id.')
  }
  return { spec, flavor, manifest, version, sizeGb, ...checkContents(manifest, spec) }
}

/** What the database starts with. Throws 501 for what its datastore does not have. */
function checkContents(manifest: Manifest, spec: InstanceSpec): CreateRequest {
  const { databases, users, access } = spec
  if (access?.allowed_cidrs?.length) requireCapability(manifest, 'access', 'update_access')
  const databaseSpecs = databases?.length
    ? checkDatabases(requireCapability(manifest, 'databases', 'create_database').can.databases, databases)
    : []
  const userSpecs = users?.length
    ? checkUsers(requireCapability(manifest, 'users', 'create_user').can, users, databaseSpecs)
    : []
  return { databases: databaseSpecs, users: userSpecs }
}

/** What a replica inherits from its source, so that it must not be specified. */
const INHERITED_FROM_SOURCE = ['flavorRef', 'flavor', 'datastore', 'volume', 'locality', 'databases', 'users'] as const

/** Rejects replicas as Trove does where there are none: 400 for contradictions, 404 without a source, else 501. */
async function rejectReplica(call: Call<unknown, Platform>, spec: InstanceSpec): Promise<void> {
  const source = spec.replica_of ?? spec.slave_of
  if (!source) {
    if (spec.replica_count) throw badRequest('replica_count goes with replica_of only.')
    return
  }
  const specified = INHERITED_FROM_SOURCE.find(key => spec[key] !== undefined && spec[key] !== null)
  if (specified) throw badRequest(`'${specified}' cannot be specified when creating a replica.`)
  const { datastore } = (await findInstance(call.deps, call, source)).body
  const { replication } = manifestOf(call.deps.datastores, datastore.manager).can
  if (!replication) throw notImplemented('Replicas are not supported by this datastore version.')
}

/** Rejects backups, configurations and modules: none exist that an instance could be made with. */
function rejectUnsupported(spec: InstanceSpec): void {
  if (spec.restorePoint) throw notFound(`Backup ${spec.restorePoint.backupRef} cannot be found.`)
  if (spec.configuration) throw notFound(`Configuration ${spec.configuration} cannot be found.`)
  const [module] = spec.modules ?? []
  if (module) throw notFound(`Module ${module.id} cannot be found.`)
}

function chooseFlavor(ref: InstanceSpec['flavorRef'] | InstanceSpec['flavor']): Flavor {
  if (ref === undefined) throw badRequest('Resource None cannot be found.')
  const id = typeof ref === 'object' ? ref.id : ref
  const flavor = findFlavor(id)
  if (!flavor) throw badRequest(`Flavor ${id} cannot be found.`)
  return flavor
}

const datastoreRef = (datastore: InstanceSpec['datastore']) => ({
  type: datastore?.type ?? undefined,
  version: datastore?.version ?? undefined,
  version_number: datastore?.version_number ?? undefined,
})

// ── request ──────────────────────────────────────────────────────────────────

/** `POST /instances`: checks, and puts instance, quota and operation into one transaction. The work is the saga's. */
export async function requestCreate(call: Call<z.infer<typeof CreateBody>, Platform>): Promise<Mutation> {
  const { deps, project, requestId } = call
  const checked = await check(call)
  const now = deps.clock.now()
  const operation = { id: deps.random.uuid(), name: 'create_instance' as const }
  const draft = newInstance(call, checked, now)
  const placement = await chooseHost(deps, {
    ramMb: checked.flavor.ram,
    datastore: engineOfInstance(draft.datastore),
  })
  const instance = beginOperation({ ...draft, ...placement.fields }, operation, now)
  const { id } = instance
  const subject = instanceSubject(id)
  const request = await deps.vault.lock(CreateRequest, checked, secretOwner(project, operation.id))
  const reserves = { instances: 1, ram: checked.flavor.ram, volumes: checked.sizeGb }
  const { changes, onBound } = await reserveQuota(deps.store, project, reserves)
  return {
    reply: { status: 200, body: { instance: detail(instance, { ...call, now }) } },
    changes: [
      ...changes,
      ...placement.changes,
      instances.create(project, id, instance, placement.indexed),
      projectIndex.create('*', id, { project }),
      agentRecords.create(project, id, await newAgentRecord(deps, instance), { subject }),
      sagaRecord({ ...operation, project, subject, requestId, request: parseAs(CreateRequest, request) }, now),
    ],
    messages: [operationMessage({ ...operation, project, subject, requestId })],
    onBound,
  }
}

function newInstance(
  { project, deps }: Call<unknown, Platform>,
  { spec, flavor, manifest, version, sizeGb }: Awaited<ReturnType<typeof check>>,
  now: number,
): Instance {
  return {
    id: deps.random.uuid(),
    project,
    name: spec.name,
    created: now,
    updated: now,
    generation: 1,
    flavor: String(flavor.id),
    volume: { sizeGb, generation: 1, ...(spec.volume?.type && { type: spec.volume.type }) },
    datastore: {
      type: manifest.name,
      manager: manifest.manager,
      versionId: version.id,
      versionName: version.name,
      version: version.version,
      engine: version.engine,
    },
    ...(spec.region_name && { region: spec.region_name }),
    ...(spec.locality && { locality: spec.locality }),
    ...(spec.access && { access: spec.access }),
    ...(spec.nics?.length && { nics: spec.nics }),
    ...(spec.availability_zone && { availabilityZone: spec.availability_zone }),
  }
}

// ── saga ─────────────────────────────────────────────────────────────────────

type Run = SagaRun<CreateRequest, Platform>

/** How an instance shows that its create failed at a step. */
const FAILURE_AT: Record<string, Failure> = {
  create_volume: 'BUILDING_ERROR_VOLUME',
  create_server: 'BUILDING_ERROR_SERVER',
}

/** A failed create removes server and volume, and leaves the record in ERROR with the reason. */
export const createInstance = saga<CreateRequest, Platform>('create_instance', CreateRequest, {
  onRetry: prepareRetry,
  async onEnd(run, outcome) {
    const { deps, project } = run
    const item = await instances.get(deps.store, project, run.subject.id)
    if (!item) return []
    const instance = item.body
    const ending = { id: run.id, error: run.error, now: deps.clock.now() }
    if (outcome === 'done') return [instances.replace(item, endOperation(instance, { ...ending, outcome }))]
    const failure = FAILURE_AT[run.failedStep ?? ''] ?? 'BUILDING_ERROR_TIMEOUT_GA'
    const failed: Instance = { ...endFailedCreate(instance, { ...ending, failure }), quotaReleased: true }
    const ram = -ramQuota(instance)
    const returned = reservationChanges(project, { ram, volumes: -instance.volume.sizeGb })
    return [...returned, ...memoryChanges(instance.host, ram), instances.replace(item, failed)]
  },
})
  .step('create_volume', {
    async do(run) {
      const instance = await reloadInstance(run)
      const { sizeGb } = instance.volume
      const datastore = engineOfInstance(instance.datastore)
      await run.deps.compute.createVolume({ ...partOf(instance, volumeOf(instance)), sizeGb, datastore })
    },
    isDone: async run => isActive(await run.deps.compute.volume(run.project, volumeOf(await reloadInstance(run)))),
    undo: run => requestRemoval(run, 'volume'),
    isUndone: run => isRemoved(run, 'volume'),
  })
  .step('create_server', createServerStep)
  .step('send_prepare', { do: async run => void (await sendPrepare(run)) })
  .step('wait_until_serving', {
    deadlineMs: SERVING_DEADLINE_MS,
    async isDone(run) {
      const command = await sendPrepare(run)
      if (command.status === 'failed') {
        throw new TerminalError(command.error?.message ?? 'The database could not be prepared.')
      }
      const { agentReport: report } = await reloadInstance(run)
      if (report?.status === 'failed') throw new TerminalError(report.message ?? 'The database server failed.')
      return command.status === 'done' && (report?.status === 'running' || report?.status === 'healthy')
    },
  })

/** The record of the agent's first command, which this sends once. */
async function sendPrepare(run: Run) {
  const { deps, project, subject, requestId, request, id } = run
  const instance = subject.id
  const { datastore, access } = await reloadInstance(run)
  const agent = guestClient(deps, { project, instance, requestId, dedupeKey: `${id}/prepare` })
  return agent.prepare({
    ...request,
    datastore_version: datastore.versionName,
    allowed_cidrs: access?.allowed_cidrs ?? [],
  })
}
