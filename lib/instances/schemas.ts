import { z } from 'zod'
import { Id, Links, pageOfRows, Timestamp } from '../kit/http/schemas.ts'
import { Access } from '../model/instance-fields.ts'

const Status = z
  .enum(['ACTIVE', 'BUILD', 'ERROR', 'REBOOT', 'RESIZE', 'SHUTDOWN', 'UPGRADE'])
  .meta({ id: 'Status', description: 'What an operation is doing with the instance, or the state of its machine.' })
const OperatingStatus = z
  .enum(['', 'ACTIVE', 'BUILD', 'ERROR', 'FAILED', 'HEALTHY', 'NEW', 'RESTARTING', 'SHUTDOWN'])
  .meta({
    id: 'OperatingStatus',
    description: 'The state of the database as its agent reports it; empty while an operation runs.',
  })

const Address = z.strictObject({
  address: z.string(),
  type: z.enum(['private', 'public']),
  port: z.int().optional().describe("If it is not the datastore's standard port."),
})

const summary = {
  id: Id,
  name: z.string(),
  status: Status,
  operating_status: OperatingStatus,
  links: Links,
  flavor: z.strictObject({ id: z.string(), links: Links }),
  volume: z.strictObject({ size: z.int().describe('GB') }),
  datastore: z.strictObject({ type: z.string(), version: z.string() }),
  region: z.string(),
  access: z.strictObject(Access.shape),
  ip: z.array(z.string()).optional(),
  addresses: z.array(Address).optional().describe('Where the database can be reached.'),
  tenant_id: z.string().optional().describe('The project; for admins.'),
}

/** An instance as a list shows it. */
const InstanceSummary = z.strictObject(summary).meta({ id: 'InstanceSummary' })

const usage = { used: z.number().optional().describe('GB in use'), used_percent: z.number().optional() }

/** The fields of the longer view. */
export const detailFields = {
  ...summary,
  created: Timestamp,
  updated: Timestamp,
  service_status_updated: Timestamp,
  datastore: summary.datastore.extend({ version_number: z.string() }),
  volume: summary.volume.extend(usage),
  fault: z
    .strictObject({
      message: z.string(),
      created: Timestamp,
      details: z.string().nullable().describe('For admins.'),
    })
    .optional()
    .describe('The last failure.'),
  locality: z.string().optional(),
  server_id: z.string().optional().describe('For admins, like the next two.'),
  volume_id: z.string().optional(),
  encrypted_rpc_messaging: z.literal(true).optional(),
}

/** An instance as show, create and the detailed list show it. */
const InstanceDetail = z.strictObject(detailFields).meta({ id: 'Instance' })

export const InstanceAnswer = z.strictObject({ instance: InstanceDetail })
export const InstanceList = pageOfRows('instances', InstanceSummary)
export const InstanceDetails = pageOfRows('instances', InstanceDetail)
export const ConfigurationAnswer = z.strictObject({
  instance: z.strictObject({
    configuration: z.record(z.string(), z.union([z.string(), z.number()])).describe('Settings by name.'),
  }),
})
