import { type AuditRecord, audits } from '../../lib/audit/audit.ts'
import { type Answer, type Sent, send } from '../sim/api.ts'
import type { World } from '../sim/world.ts'
import { PROJECT } from './scenarios.ts'

/** What is answered; undefined if the control plane died over it. */
export const asked = (world: World, sent: Sent): Promise<Answer | undefined> =>
  world.request(platform => send(platform, sent))

/** What the audit has, the latest first. */
export const records = async (world: World): Promise<AuditRecord[]> =>
  (await audits.list(world.store, PROJECT, { limit: 100 })).map(({ body }) => body)
