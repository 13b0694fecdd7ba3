import { createHash, createHmac, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'
import saslprep from '@mongodb-js/saslprep'

const derive = promisify(pbkdf2)

/** PostgreSQL's default (scram_iterations). */
const ITERATIONS = 4096

/** The length of PostgreSQL's salts, in bytes. */
export const SALT_BYTES = 16

// PostgreSQL checks for forbidden code points before it normalizes, the library afterwards. These are forbidden (or not
// in Unicode 3.2, which counts the same), but normalize to allowed ones, so that the library accepts them.
const FORBIDDEN_UNTIL_NORMALIZED =
  /[\u{340}\u{341}\u{3F9}\u{10FC}\u{1D2C}-\u{1DBF}\u{2090}-\u{209C}\u{213B}\u{213C}\u{2150}-\u{2152}\u{2189}\u{2C7C}\u{2C7D}\u{321D}\u{321E}\u{3244}-\u{3247}\u{3250}\u{327C}-\u{327E}\u{32CC}-\u{32CF}\u{32FF}\u{3377}-\u{337A}\u{33DE}\u{33DF}\u{33FF}\u{A69C}\u{A69D}\u{A7F1}-\u{A7F9}\u{AB5E}-\u{AB69}\u{FA2E}\u{FA2F}\u{FA6B}-\u{FAD9}\u{FE10}-\u{FE19}\u{FE47}\u{FE48}\u{10781}-\u{1CCF9}\u{1D4C1}\u{1D6A4}\u{1D7CA}\u{1D7CB}\u{1D800}-\u{1FFFD}]/u

/**
 * The password as PostgreSQL and its clients hash it: after SASLprep, or unchanged if SASLprep forbids it.
 * One difference is left: right-to-left text around a symbol that normalizes to Latin letters (such as the trade mark).
 */
export function saslPrepare(password: string): string {
  // PostgreSQL leaves plain ASCII unchanged, control characters included.
  if (/^[\0-\x7F]*$/.test(password) || FORBIDDEN_UNTIL_NORMALIZED.test(password)) return password
  try {
    return saslprep(password) || password
  } catch {
    return password
  }
}

const hmac = (key: Uint8Array, text: string) => createHmac('sha256', key).update(text).digest()

/** The verifier of a password that PostgreSQL stores: enough to check a password, not enough to log in. */
export async function scramVerifier(password: string, salt: Uint8Array, iterations = ITERATIONS): Promise<string> {
  const salted = await derive(saslPrepare(password), salt, iterations, 32, 'sha256')
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest('base64')
  const serverKey = hmac(salted, 'Server Key').toString('base64')
  return `SCRAM-SHA-256$${iterations}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`
}
