import { z } from 'zod'
import { Diagnostics, HardwareInfo } from '../contracts/guest/core.ts'
import { detailFields } from '../instances/schemas.ts'
import { FlagQuery, Id, PageQuery, pageOfRows, Timestamp } from '../kit/http/schemas.ts'

const Server = z.strictObject({
  id: z.string(),
  name: z.string(),
  status: z.enum(['ACTIVE', 'BUILD', 'ERROR', 'SHUTDOWN', 'GONE']),
  tenant_id: z.string(),
  host: z.string().nullable(),
})
const managed = {
  ...detailFields,
  server: Server.nullable(),
  service_status: z.string().describe("The database's status in the agent's last report."),
  deleted: z.boolean(),
  deleted_at: Timestamp.nullable(),
  task_description: z.string(),
}
const ManagedInstance = z.strictObject(managed).meta({ id: 'ManagedInstance' })

const Volume = z.strictObject({
  id: z.string(),
  size: z.int().describe('GB'),
  status: z.enum(['in-use', 'available', 'deleted']),
  attachments: z.array(z.strictObject({ server_id: z.string() })),
  availability_zone: z.null(),
  created_at: Timestamp,
  used: z.number().nullable().describe('GB'),
  total: z.int().describe('GB'),
})
const Networks = z.record(z.string(), z.array(z.strictObject({ addr: z.string(), version: z.literal(4) })))
const ManagedDetail = z
  .strictObject({
    ...managed,
    server: Server.extend({ addresses: Networks }).nullable(),
    volume: Volume,
    guest_status: z.strictObject({ state_description: z.string() }),
    root_enabled: Timestamp.optional(),
    root_enabled_by: z.string().optional(),
  })
  .meta({ id: 'ManagedInstanceDetail' })

export const AnyInstanceList = pageOfRows('instances', ManagedInstance)
export const AnyInstanceAnswer = z.strictObject({ instance: ManagedDetail })
export const RootHistoryAnswer = z.strictObject({
  root_history: z.strictObject({
    id: Id,
    enabled: z.union([Timestamp, z.literal('Never')]),
    user: z.string().describe("The user's id, or Nobody."),
  }),
})

const deleted = FlagQuery.optional().describe('true: also show an instance that was deleted in the last week.')
export const AnyInstanceQuery = z.object({ deleted })
export const AnyInstanceListQuery = PageQuery.extend({
  deleted: FlagQuery.optional().describe('false: only existing instances; true: only those deleted in the last week.'),
  project_id: z.string().optional(),
})
export const HardwareAnswer = z.strictObject({ hwinfo: z.strictObject(HardwareInfo.shape) })
export const DiagnosticsAnswer = z.strictObject({ diagnostics: z.strictObject(Diagnostics.shape) })

const hostFields = {
  name: z.string(),
  totalRAM: z.int().describe('MB'),
  usedRAM: z.int().describe('MB'),
  percentUsed: z.int(),
  state: z.enum(['active', 'draining']).describe('draining: it gets no more instances.'),
  engines: z.array(z.strictObject({ manager: z.string(), versions: z.array(z.string()) })),
  network: z.string().describe('The first two bytes of the addresses of its instances.'),
  version: z.string(),
  last_report: Timestamp,
  silent_since: Timestamp.nullable().describe('Its last report, if the next one has not come in time.'),
}
const HostInstance = z.strictObject({
  id: Id,
  name: z.string(),
  status: z.string(),
  server_id: z.string(),
  tenant_id: z.string(),
})
export const HostList = z.strictObject({
  hosts: z.array(z.strictObject({ ...hostFields, instanceCount: z.int() }).meta({ id: 'Host' })),
})
export const HostAnswer = z.strictObject({
  host: z.strictObject({ ...hostFields, instances: z.array(HostInstance) }).meta({ id: 'HostDetail' }),
})
export const HostAction = z.union([
  z.strictObject({ drain: z.strictObject({}) }),
  z.strictObject({ resume: z.strictObject({}) }),
])
export const HostDeleteQuery = z.object({
  force: FlagQuery.optional().describe('true: also if it is silent and has instances, which are lost.'),
})
