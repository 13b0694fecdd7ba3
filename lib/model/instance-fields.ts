import { z } from 'zod'

/** An instance's name: 1 to 255 characters in one line, at least one letter or digit, as in Trove. */
export const InstanceName = z
  .string()
  // In two steps: only a name of that many units has its characters counted.
  .max(2 * 255, { error: 'is too long', abort: true })
  .refine(name => [...name].length <= 255, { error: 'is too long', abort: true })
  .regex(/^[^0-9a-zA-Z\n\r\u2028\u2029]*[0-9a-zA-Z].*$/, 'does not have a letter or a digit, or has a line break')

/** Who can connect to an instance. */
export const Access = z.object({
  is_public: z.boolean().optional(),
  allowed_cidrs: z.array(z.union([z.ipv4(), z.cidrv4()])).optional(),
})

export type InstanceAccess = z.infer<typeof Access>

/** A network interface that a create requests. */
export const Nic = z.strictObject({
  'net-id': z.string().optional(),
  network_id: z.string().optional(),
  subnet_id: z.string().optional(),
  ip_address: z.ipv4().optional(),
})
