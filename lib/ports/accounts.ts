import type { Change } from './store.ts'

/** The only domain. Every user and project is in it. */
export const DOMAIN = { id: 'default', name: 'Default' }

/** The role that may use the management API and all projects. */
export const ADMIN = 'admin'

/** A reference to a user, a project or a credential. */
export interface NameOrId {
  id: string
  name: string
}

/** A user. Passwords are not part of it. */
export interface User extends NameOrId {
  enabled: boolean
  /** The id of the project for tokens that are requested without a scope. */
  defaultProject?: string
  /**
   * Rises when the password changes, the user is disabled or a role is removed. Tokens of an older epoch are invalid.
   */
  epoch: number
}

/** A project (tenant). */
export interface Project extends NameOrId {}

/** Stores users, projects and roles. Malformed ids are treated like unknown ids. `also`: in the same transaction. */
export interface Accounts {
  user(id: string): Promise<User | undefined>
  userByName(name: string): Promise<User | undefined>
  /** Throws NameTaken. */
  createUser(user: { name: string; password: string; defaultProject?: string }): Promise<User>
  /** Invalidates all tokens of the user. */
  setPassword(userId: string, password: string, also?: Change[]): Promise<void>
  /** Disabling invalidates all tokens of the user. */
  setEnabled(userId: string, enabled: boolean): Promise<void>
  project(id: string): Promise<Project | undefined>
  projectByName(name: string): Promise<Project | undefined>
  projects(): Promise<Project[]>
  /** The projects in which the user has a role. */
  projectsOf(userId: string): Promise<Project[]>
  /** Throws NameTaken. */
  createProject(name: string): Promise<Project>
  /** The user's roles in a project; empty if the user is not a member. */
  roles(userId: string, projectId: string): Promise<string[]>
  /** Replaces the roles. Removing one invalidates all tokens of the user. */
  setRoles(userId: string, projectId: string, roles: string[]): Promise<void>
}

/** The name is already in use. */
export class NameTaken extends Error {
  override name = 'Taken'
}

/** The user already has the maximum number of application credentials. */
export class TooMany extends Error {
  override name = 'TooMany'
}

/** A credential with which a program acts for a user in one project, with some of the user's roles. */
export interface AppCredential extends NameOrId {
  user: string
  project: string
  roles: string[]
  description?: string
  /** When it expires, in milliseconds since the epoch. */
  expires?: number
}

/** Stores application credentials, with their secrets hashed. `also`: in the same transaction. */
export interface AppCredentials {
  /** Throws NameTaken (names are unique for each user) or TooMany. */
  create(
    credential: Omit<AppCredential, 'id'>,
    secret: string,
    also?: (created: AppCredential) => Change[],
  ): Promise<AppCredential>
  /** A new random secret for `create`. */
  newSecret(): string
  byId(id: string): Promise<AppCredential | undefined>
  byName(userId: string, name: string): Promise<AppCredential | undefined>
  listOf(userId: string): Promise<AppCredential[]>
  /** Also invalidates the tokens that were issued for it. */
  remove(credential: AppCredential, also?: Change[]): Promise<void>
}

/** Too many concurrent logins for one process. The client should retry after a second. */
export class TooManyLogins extends Error {
  override name = 'Busy'
}

/**
 * Checks passwords and secrets. A failure takes as long for an unknown user as for a wrong password. Failures count for
 * the user at the client's `address`, and in a wider bound for the user. All methods throw TooManyLogins.
 */
export interface Logins {
  /** The user, if enabled, if the password is right, and if there were not too many failures recently. */
  byPassword(user: { id: string } | { name: string }, password: string, address?: string): Promise<User | undefined>
  /** The credential and its user, under the same conditions. */
  bySecret(
    credential: { id: string } | { user: string; name: string },
    secret: string,
    address?: string,
  ): Promise<{ user: User; credential: AppCredential } | undefined>
}

/** The content of a token. Times are milliseconds since the epoch. */
export interface Claims {
  /** Keystone's audit id, by which a token is revoked. */
  id: string
  /** The audit id of the first token of the chain, if this token was issued for another token. */
  chain?: string
  user: NameOrId
  project?: NameOrId
  roles: string[]
  methods: string[]
  /** The application credential for which it was issued. */
  credential?: NameOrId
  /** In whole seconds. */
  issued: number
  expires: number
  /** The user's epoch when it was issued. */
  epoch: number
}

/** Issues, verifies and revokes tokens. */
export interface Tokens {
  /** `expires` may shorten the default lifetime, not extend it. */
  issue(
    claims: Omit<Claims, 'id' | 'issued' | 'expires'> & { expires?: number },
  ): Promise<{ token: string; claims: Claims }>
  /** The claims of a valid token, with or without a project. Undefined for any other. */
  read(token: string): Promise<Claims | undefined>
  /** Invalidates a token at once. `also`: in the same transaction. */
  revoke(claims: Claims, also?: Change[]): Promise<void>
}

/** The backends of the identity service's HTTP API. */
export interface IdentityService {
  accounts: Accounts
  credentials: AppCredentials
  logins: Logins
  tokens: Tokens
}
