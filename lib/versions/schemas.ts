import { z } from 'zod'
import { Links } from '../kit/http/schemas.ts'

const VersionView = z
  .strictObject({ id: z.literal('v1.0'), status: z.literal('CURRENT'), updated: z.string(), links: Links })
  .meta({ id: 'ApiVersion' })
export const VersionAnswer = z.strictObject({ version: VersionView })
export const VersionList = z.strictObject({ versions: z.array(VersionView) })
export const Health = z.strictObject({ status: z.literal('ok') })
