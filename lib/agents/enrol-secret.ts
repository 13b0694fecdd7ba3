import type { Keys } from '../kit/crypto/keys.ts'

/** The enrolment secret of an instance's generation. It is derived, so that only the user-data of its server holds it. */
export async function enrolSecret(keys: Keys, instance: string, generation: number): Promise<string> {
  const key = await keys.derive(await keys.currentId(), 'enrol', instance, generation)
  return Buffer.from(key).toString('base64url')
}
