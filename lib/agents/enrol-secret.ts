import { type Keys, usableKeyId } from '../kit/crypto/keys.ts'
import type { Platform } from '../platform/platform.ts'
import type { AgentRecord } from './agent.ts'

/** An agent's credentials last an hour; it renews them. */
export const CREDENTIALS_MS = 3_600_000

/**
 * The enrolment secret of an instance's generation, from the master key `kid` of its agent's record. It is derived, so that
 * only the user-data of its server holds it.
 */
export async function enrolSecret(keys: Keys, instance: string, generation: number, kid?: string): Promise<string> {
  const key = await keys.derive(await usableKeyId(keys, kid), 'enrol', instance, generation)
  return Buffer.from(key).toString('base64url')
}

/** How long an enrolment secret is accepted. */
const ENROL_MS = 30 * 60_000

/** The record of a new generation's agent, which has not enrolled yet. */
export async function newAgentRecord(
  { keys, clock }: Pick<Platform, 'keys' | 'clock'>,
  { id, project, generation }: { id: string; project: string; generation: number },
): Promise<AgentRecord> {
  const now = clock.now()
  const commands = { lastIssued: 0, lastDone: 0, lastIssuedAt: now, dedupeKeys: {} }
  const kid = await keys.currentId()
  return { instance: id, project, generation, kid, enrolUntil: now + ENROL_MS, ...commands }
}
