/** The only domain; every user and project is in it. */
export const DOMAIN = { id: 'default', name: 'Default' }

/** The role that may see and do what is everybody's. */
export const ADMIN = 'admin'

export interface Ref {
  id: string
  name: string
}

export interface User extends Ref {
  enabled: boolean
  /** The id of the project that a token is for when none is asked for. */
  defaultProject?: string
  /** Rises when a password changes, the user is disabled or a role is taken away: tokens of an older epoch are void. */
  epoch: number
}

export interface Project extends Ref {}

/** Where users, projects and roles are kept. Ids that cannot exist are answered like ids that do not. */
export interface Accounts {
  user(id: string): Promise<User | undefined>
  userByName(name: string): Promise<User | undefined>
  /** Throws Taken. */
  createUser(user: { name: string; password: string; defaultProject?: string }): Promise<User>
  /** Ends all tokens of the user. */
  setPassword(userId: string, password: string): Promise<void>
  /** Disabling ends all tokens of the user. */
  setEnabled(userId: string, enabled: boolean): Promise<void>
  project(id: string): Promise<Project | undefined>
  projectByName(name: string): Promise<Project | undefined>
  projects(): Promise<Project[]>
  /** The projects in which the user has a role. */
  projectsOf(userId: string): Promise<Project[]>
  /** Throws Taken. */
  createProject(name: string): Promise<Project>
  /** The user's roles in a project; none if it has nothing to do with it. */
  roles(userId: string, projectId: string): Promise<string[]>
  /** Replaces the roles; taking one away ends all tokens of the user. */
  setRoles(userId: string, projectId: string, roles: string[]): Promise<void>
}

/** A name that is in use already. */
export class Taken extends Error {
  override name = 'Taken'
}

/** A user has as many application credentials as one may have. */
export class TooMany extends Error {
  override name = 'TooMany'
}

/** A secret by which a program acts for a user in one project, with some of the user's roles. */
export interface AppCredential extends Ref {
  user: string
  project: string
  roles: string[]
  description?: string
  /** Milliseconds since the epoch; it ceases to be then. */
  expires?: number
}

/** Where application credentials are kept, their secrets hashed. */
export interface AppCredentials {
  /** Throws Taken (names are unique for a user) or TooMany. */
  create(credential: Omit<AppCredential, 'id'>, secret: string): Promise<AppCredential>
  /** A fresh secret, good for `create`. */
  newSecret(): string
  byId(id: string): Promise<AppCredential | undefined>
  byName(userId: string, name: string): Promise<AppCredential | undefined>
  listOf(userId: string): Promise<AppCredential[]>
  /** Ends the tokens got with it, too. */
  remove(credential: AppCredential): Promise<void>
}

/** More logins at once than one process takes; to be tried again in a second. */
export class Busy extends Error {
  override name = 'Busy'
}

/** Checks what users know. A wrong answer takes as long for whom does not exist. All throw Busy. */
export interface Logins {
  /** The user with that id or name, if enabled and the password is right and there were not too many failures just now. */
  byPassword(who: { id: string } | { name: string }, password: string): Promise<User | undefined>
  /** The credential and its user, on the same terms. */
  bySecret(
    which: { id: string } | { user: string; name: string },
    secret: string,
  ): Promise<{ user: User; credential: AppCredential } | undefined>
}

/** What a token says. */
export interface Claims {
  /** Keystone's audit id; what a revocation names. */
  id: string
  /** The audit id of the first token of the chain that this one was got with. */
  chain?: string
  user: Ref
  project?: Ref
  roles: string[]
  methods: string[]
  /** The application credential behind it. */
  credential?: Ref
  /** Milliseconds since the epoch, whole seconds. */
  issued: number
  expires: number
  /** The user's when it was issued. */
  epoch: number
}

/** Makes, checks and revokes tokens. */
export interface Tokens {
  /** `expires` bounds the lifetime; it is never longer than the usual one. */
  issue(
    claims: Omit<Claims, 'id' | 'issued' | 'expires'> & { expires?: number },
  ): Promise<{ token: string; claims: Claims }>
  /** What a good token says, with a project or without. Undefined for any other. */
  read(token: string): Promise<Claims | undefined>
  /** At once and for ever. */
  revoke(claims: Claims): Promise<void>
}

/** The parts that the HTTP surface stands on. */
export interface IdentityService {
  accounts: Accounts
  credentials: AppCredentials
  logins: Logins
  tokens: Tokens
}
