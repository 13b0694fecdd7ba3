import { createHash } from 'node:crypto'
import type { AppCredential, Project, User } from '../../identity/account.ts'
import { kind } from '../../kit/records.ts'
import type { PasswordHash } from './passwords.ts'

/** Accounts belong to no project. */
export const EVERYBODY = '*'

/** Names found by digest are short and plain whatever their length and script; ids are as we make them. */
export const digest = (name: string) => createHash('sha256').update(name).digest('base64url')

/** Whether it can be the id of anything. Others never reach the store. */
export const isId = (id: string) => /^[A-Za-z0-9_-]{1,64}$/.test(id)

/** `id` is the user's id. */
export const users = kind<User & { password: PasswordHash }>('user')
/** `id` is the digest of the name. */
export const userNames = kind<{ id: string }>('username')
export const projects = kind<Project>('project')
export const projectNames = kind<{ id: string }>('projectname')
/** `id` is `<user>/<project>`. */
export const grants = kind<{ roles: string[] }>('grant')
/** `id` is `<user>/<digest of the name>`, so that one query lists a user's. */
export const credentials = kind<AppCredential & { secret: PasswordHash }>('appcred')
/** `id` is the credential's id; where it stands. */
export const credentialIds = kind<{ at: string }>('appcredid')
/** `id` is the token's audit id; expires with the token. */
export const revocations = kind<Record<string, never>>('revoked')
/** `id` is `<whom>/<minute>`. */
export const attempts = kind<{ units: number }>('attempt')
