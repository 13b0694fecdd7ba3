import { z } from 'zod'
import { NewDatabases, NewUsers } from '../users/names.ts'

/** 1-255 characters in one line, one letter or digit at least, as Trove's names. */
export const InstanceName = z
  .string()
  .refine(name => [...name].length <= 255, 'is too long')
  .regex(/^.*[0-9a-zA-Z].*$/, 'does not have a letter or a digit, or has a line break')

/** As Trove takes them: hyphens may be left out. */
export const Uuid = z.string().regex(/^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$/, 'is not a UUID')

/** A whole number of at least 1, or its digits: XML has strings only. */
export const Size = z
  .union([z.int().min(1, 'must be at least 1'), z.string().regex(/^[1-9][0-9]{0,8}$/, 'is not a number of at least 1')])
  .transform(Number)

/** An id, as a number or text. */
export const Reference = z.union([z.string().min(1), z.int()])

const Nic = z.strictObject({
  'net-id': z.string().optional(),
  network_id: z.string().optional(),
  subnet_id: z.string().optional(),
  ip_address: z.ipv4().optional(),
})

/** The access of an instance from outside. */
export const Access = z.object({
  is_public: z.boolean().optional(),
  allowed_cidrs: z.array(z.union([z.ipv4(), z.cidrv4()])).optional(),
})

/** What `POST /instances` takes. Unknown keys are ignored, as in Trove. */
export const CreateBody = z.object({
  instance: z.object({
    name: InstanceName,
    flavorRef: Reference.optional(),
    /** openstacksdk's word for flavorRef. */
    flavor: z.union([Reference, z.object({ id: Reference })]).optional(),
    volume: z.object({ size: Size, type: z.string().max(255).nullish() }).optional(),
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
export type CreateBody = z.infer<typeof CreateBody>['instance']
