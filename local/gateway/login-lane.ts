import { createHash } from 'node:crypto'
import { AuthRequest } from '../../lib/keystone/schemas.ts'

/**
 * Whose login it is, as one of 256 lanes; one lane for everything else. Behind a proxy all logins come from one
 * address: those of one user then delay only those who share his lane.
 */
export function loginLane(method: string, path: string, body: Buffer): string {
  if (method !== 'POST' || path !== '/identity/v3/auth/tokens') return ''
  const user = userOf(body)
  return user === undefined ? '' : String(createHash('sha256').update(user).digest()[0])
}

function userOf(body: Buffer): string | undefined {
  try {
    const { identity } = AuthRequest.parse(JSON.parse(body.toString())).auth
    const { password, application_credential: credential } = identity
    const subject = password?.user ?? credential?.user ?? credential
    return subject?.id ?? subject?.name
  } catch {
    return undefined
  }
}
