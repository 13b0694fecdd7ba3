import { z } from 'zod'

export const RootEnabled = z.strictObject({ rootEnabled: z.boolean() })
export const RootUser = z.strictObject({
  user: z.strictObject({ name: z.string(), password: z.string().describe('Shown only in this response.') }),
})
