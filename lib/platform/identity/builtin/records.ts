import { createHash } from 'node:crypto'
import { recordType } from '../../../kit/records.ts'
import type { AppCredential, Project, User } from '../../../ports/accounts.ts'
import type { PasswordHash } from './passwords.ts'

/** Accounts belong to no project. */
export const ALL_ACCOUNTS = '*'

/** The digest of a name, which as part of a key is short and plain in any script. */
export const hashId = (name: string) => createHash('sha256').update(name).digest('base64url')

/** Whether the text can be an id. Other texts never reach the store. */
export const isId = (id: string) => /^[A-Za-z0-9_-]{1,64}$/.test(id)

/** `id` is the user's id. */
export const users = recordType<User & { password: PasswordHash }>('user')
/** `id` is the digest of the name. */
export const userNames = recordType<{ id: string }>('username')
export const projects = recordType<Project>('project')
export const projectNames = recordType<{ id: string }>('projectname')
/** `id` is `<user>/<project>`. */
export const grants = recordType<{ roles: string[] }>('grant')
/** `id` is `<user>/<digest of the name>`, so that one query lists a user's. */
export const credentials = recordType<AppCredential & { secret: PasswordHash }>('appcred')
/** `id` is the credential's id; `at` is the id of its record. */
export const credentialIds = recordType<{ at: string }>('appcredid')
/** `id` is the token's audit id; the record expires with the token. */
export const revocations = recordType<Record<string, never>>('revoked')
/** `id` is `<whom>/<minute>`. */
export const attempts = recordType<{ units: number }>('attempt')
