import { z } from 'zod'
import { SslOutcome, SslState } from '../contracts/guest/tls.ts'
import { Timestamp } from '../kit/http/schemas.ts'

const Certificate = z.strictObject({
  cn: z.string(),
  expire_at: Timestamp,
  san: z.array(z.string()),
  payload: z.string().optional().describe('The certificate with its chain (PEM), if requested.'),
})
export const SslAnswer = z.strictObject({
  ssl: z.strictObject({ ...SslState.shape, certificate: Certificate.optional() }),
})
export const SslChanged = z.strictObject({ ssl: z.strictObject(SslOutcome.shape) })
export const SslQuery = z.object({
  include_certificate: z.enum(['true', 'false']).optional().describe('true: also return the certificate itself.'),
})
