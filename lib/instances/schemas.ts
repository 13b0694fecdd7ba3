import { z } from 'zod'
import { Id, Links, pageOfRows, Timestamp } from '../kit/http/schemas.ts'
import { Access } from './create-body.ts'

const Status = z
  .enum(['ACTIVE', 'BUILD', 'ERROR', 'REBOOT', 'RESIZE', 'SHUTDOWN', 'UPGRADE'])
  .meta({ id: 'Status', description: 'What is being done with the instance, or how its machine is.' })
const OperatingStatus = z
  .enum(['', 'ACTIVE', 'BUILD', 'ERROR', 'FAILED', 'HEALTHY', 'NEW', 'RESTARTING', 'SHUTDOWN'])
  .meta({
    id: 'OperatingStatus',
    description: 'How the database is, as its agent says; empty while something is done.',
  })

const Address = z.strictObject({
  address: z.string(),
  type: z.enum(['private', 'public']),
  port: z.int().optional().describe("Where it is not the datastore's own."),
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
  addresses: z.array(Address).optional().describe('Where the database is reached.'),
  tenant_id: z.string().optional().describe('The project; for admins.'),
}

/** An instance as a list shows it. */
export const InstanceSummary = z.strictObject(summary).meta({ id: 'InstanceSummary' })

const use = { used: z.number().optional().describe('GB in use'), used_percent: z.number().optional() }

/** What only the longer view has. */
export const detailFields = {
  ...summary,
  created: Timestamp,
  updated: Timestamp,
  service_status_updated: Timestamp,
  datastore: summary.datastore.extend({ version_number: z.string() }),
  volume: summary.volume.extend(use),
  fault: z
    .strictObject({
      message: z.string(),
      created: Timestamp,
      details: z.string().nullable().describe('For admins.'),
    })
    .optional()
    .describe('What went wrong last.'),
  locality: z.string().optional(),
  server_id: z.string().optional().describe('For admins, as the next two.'),
  volume_id: z.string().optional(),
  encrypted_rpc_messaging: z.literal(true).optional(),
}

/** An instance as show, create and the detailed list show it. */
export const InstanceDetail = z.strictObject(detailFields).meta({ id: 'Instance' })

export const InstanceAnswer = z.strictObject({ instance: InstanceDetail })
export const InstanceList = pageOfRows('instances', InstanceSummary)
export const InstanceDetails = pageOfRows('instances', InstanceDetail)
export const ConfigurationAnswer = z.strictObject({
  instance: z.strictObject({
    configuration: z.record(z.string(), z.union([z.string(), z.number()])).describe('Settings by name.'),
  }),
})
