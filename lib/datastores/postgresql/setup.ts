import type { Random } from '../../kit/clock.ts'
import { layout, majorIn } from './engine.ts'
import { type Owner, textOf, writePrivate } from './files.ts'
import { SALT_BYTES, scramVerifier } from './scram.ts'
import type { Sessions } from './sessions.ts'
import { literal } from './sql.ts'

/** The role that owns what dropped users leave behind. It can neither log in nor do anything. */
export const FORMER = 'os_former'

const PASSWORD_BYTES = 24
// A random password of 192 bits needs no stretching; one round makes each connection some milliseconds faster.
const ITERATIONS = 1

async function passwordOf(volume: string, random: Random, owner?: Owner): Promise<string> {
  const file = layout(volume).password('os_admin')
  const kept = await textOf(file)
  if (kept) return kept
  const password = Buffer.from(random.bytes(PASSWORD_BYTES)).toString('base64url')
  // Kept before the server learns it: a crash in between costs nothing.
  await writePrivate(file, password, owner)
  return password
}

/** Makes the limited role for daily work, and closes the databases that are the agent's own. */
export async function setUp(sessions: Sessions, volume: string, random: Random, owner?: Owner): Promise<void> {
  const verifier = await scramVerifier(await passwordOf(volume, random, owner), random.bytes(SALT_BYTES), ITERATIONS)
  // Before 16 there are no such reserved connections; the sessions have another way in.
  const more = (await majorIn(volume)) < 16 ? '' : ', pg_use_reserved_connections'
  await sessions.within('os_maint', 'postgres', async client => {
    const { rows } = await client.query<{ made: boolean }>("SELECT to_regrole('os_admin') IS NOT NULL AS made")
    const made = rows[0]?.made ?? false
    await client.query(`
      ${made ? '' : `CREATE ROLE ${FORMER};`}
      ${made ? 'ALTER' : 'CREATE'} ROLE os_admin LOGIN CREATEDB CREATEROLE NOSUPERUSER
        PASSWORD ${literal(verifier)};
      GRANT pg_signal_backend${more} TO os_admin;
      REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
      GRANT CONNECT ON DATABASE postgres TO os_admin`)
  })
}
