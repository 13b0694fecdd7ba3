import { badRequest } from '../kit/errors.ts'
import { type AppCredential, type Claims, DOMAIN, type Project, type User } from '../ports/accounts.ts'
import { type KeystoneCall, keystoneForbidden, unauthorized } from './http.ts'
import type { Auth, Domain, PasswordMethod, ProjectRef, SecretMethod } from './schemas.ts'

/** An authenticated user, and what restricts the token for it. */
interface Authenticated {
  user: User
  methods: string[]
  /** The token that it was authenticated with. */
  parent?: Claims
  credential?: AppCredential
}

/** The project of a token, with the roles in it. */
interface Scope {
  project: Project
  roles: string[]
}

/** Authenticates the client and issues the requested token. Throws Fault 400, 401 or 403. */
export async function issueToken(call: KeystoneCall, auth: Auth): Promise<{ token: string; claims: Claims }> {
  const authenticated = await authenticate(call, auth.identity)
  const scope = await scopeOf(call, authenticated, auth.scope)
  const { user, methods, parent, credential } = authenticated
  const app = credential ?? parent?.credential
  const chain = parent && (parent.chain ?? parent.id)
  // A token never outlives the token or credential that it was issued for.
  const expires = parent?.expires ?? credential?.expires
  return call.deps.identity.tokens.issue({
    user: { id: user.id, name: user.name },
    epoch: user.epoch,
    methods,
    roles: scope?.roles ?? [],
    ...(scope && { project: { id: scope.project.id, name: scope.project.name } }),
    ...(app && { credential: { id: app.id, name: app.name } }),
    ...(chain !== undefined && { chain }),
    ...(expires !== undefined && { expires }),
  })
}

async function authenticate(call: KeystoneCall, identity: Auth['identity']): Promise<Authenticated> {
  const [method, ...others] = new Set(identity.methods)
  if (others.length > 0) throw badRequest('Only one authentication method at a time is supported.')
  if (method === 'password' && identity.password) return byPassword(call, identity.password)
  if (method === 'token' && identity.token) return byToken(call, identity.token.id)
  if (method === 'application_credential' && identity.application_credential) {
    return bySecret(call, identity.application_credential)
  }
  const isSupported = ['password', 'token', 'application_credential'].includes(method ?? '')
  throw isSupported ? badRequest(`Expecting to find ${method} in identity.`) : unauthorized()
}

async function byPassword({ deps, request }: KeystoneCall, { user: login }: PasswordMethod): Promise<Authenticated> {
  const { remote } = request
  const user = await deps.identity.logins.byPassword(userRef(login), login.password, remote)
  if (user) return { user, methods: ['password'] }
  deps.log.warn({ user: nameOf(login), remote }, 'login refused')
  throw unauthorized()
}

async function byToken({ deps }: KeystoneCall, token: string): Promise<Authenticated> {
  const parent = await deps.identity.tokens.read(token)
  const user = parent && (await deps.identity.accounts.user(parent.user.id))
  if (!user) throw unauthorized()
  return { user, parent, methods: [...new Set([...parent.methods, 'token'])] }
}

async function bySecret({ deps, request }: KeystoneCall, login: SecretMethod): Promise<Authenticated> {
  const { remote } = request
  const verified = await deps.identity.logins.bySecret(await credentialRef(deps, login), login.secret, remote)
  if (verified) return { ...verified, methods: ['application_credential'] }
  const user = login.user && nameOf(login.user)
  deps.log.warn({ credential: nameOf(login), ...(user !== undefined && { user }), remote }, 'login refused')
  throw unauthorized()
}

/** What the client calls it, for the log. */
const nameOf = ({ id, name }: { id?: string | undefined; name?: string | undefined }) => (id ?? name)?.slice(0, 64)

async function credentialRef({ identity }: KeystoneCall['deps'], { id, name, user }: SecretMethod) {
  if (id !== undefined) return { id }
  if (name === undefined || !user) throw badRequest('An application credential needs an id, or a name and a user.')
  const ref = userRef(user)
  // An unknown user goes through the same check, so that the refusal takes the usual time.
  const userId = 'id' in ref ? ref.id : (await identity.accounts.userByName(ref.name))?.id
  return { user: userId ?? '', name }
}

/** The user that is named; one of another domain is unknown here. */
function userRef({ id, name, domain }: ProjectRef): { id: string } | { name: string } {
  if (id !== undefined) return { id }
  if (name === undefined) throw badRequest('A user needs an id, or a name and a domain.')
  return isDefaultDomain(domain) ? { name } : { id: '' }
}

function isDefaultDomain(domain: Domain | undefined): boolean {
  if (domain?.id !== undefined) return domain.id === DOMAIN.id
  // With one domain only, a missing domain is not ambiguous. Keystone on MySQL ignores the case, too.
  return domain?.name === undefined || domain.name.toLowerCase() === DOMAIN.name.toLowerCase()
}

/** The requested project, or the default one, with the user's roles; undefined for a token without a project. */
async function scopeOf(
  call: KeystoneCall,
  authenticated: Authenticated,
  requested: Auth['scope'],
): Promise<Scope | undefined> {
  const restriction = authenticated.credential ?? credentialScope(authenticated.parent)
  if (restriction) return restrictedScope(call, authenticated, restriction, requested)
  if (requested === undefined) return defaultScope(call, authenticated.user)
  if (requested === 'unscoped' || (typeof requested === 'object' && 'unscoped' in requested)) return undefined
  const project = typeof requested === 'object' && requested.project && (await findProject(call, requested.project))
  const scope = project && (await scopeIn(call, authenticated.user, project))
  if (!scope) throw unauthorized()
  return scope
}

/** A token of an application credential restricts the tokens issued for it to the same project and roles. */
function credentialScope(parent: Claims | undefined): { project: string; roles: string[] } | undefined {
  if (!parent?.credential || !parent.project) return undefined
  return { project: parent.project.id, roles: parent.roles }
}

async function restrictedScope(
  call: KeystoneCall,
  { user, parent }: Authenticated,
  restriction: { project: string; roles: string[] },
  requested: Auth['scope'],
): Promise<Scope> {
  const project = await call.deps.identity.accounts.project(restriction.project)
  const scope = project && (await scopeIn(call, user, project))
  // Roles that the user has lost are lost to its credentials, too.
  const roles = scope?.roles.filter(role => restriction.roles.includes(role)) ?? []
  if (!scope || roles.length === 0) throw unauthorized()
  if (requested !== undefined && !parent) throw unauthorized()
  if (requested !== undefined && !(await sameProject(call, requested, scope.project))) throw keystoneForbidden()
  return { project: scope.project, roles }
}

async function sameProject(call: KeystoneCall, requested: Auth['scope'], project: Project): Promise<boolean> {
  if (typeof requested !== 'object' || !requested.project) return false
  return (await findProject(call, requested.project))?.id === project.id
}

async function defaultScope(call: KeystoneCall, user: User): Promise<Scope | undefined> {
  if (user.defaultProject === undefined) return undefined
  const project = await call.deps.identity.accounts.project(user.defaultProject)
  return project && scopeIn(call, user, project)
}

async function findProject({ deps }: KeystoneCall, { id, name, domain }: ProjectRef): Promise<Project | undefined> {
  if (id !== undefined) return deps.identity.accounts.project(id)
  if (name === undefined) throw badRequest('A project needs an id, or a name and a domain.')
  return isDefaultDomain(domain) ? deps.identity.accounts.projectByName(name) : undefined
}

async function scopeIn({ deps }: KeystoneCall, user: User, project: Project): Promise<Scope | undefined> {
  const roles = await deps.identity.accounts.roles(user.id, project.id)
  return roles.length > 0 ? { project, roles } : undefined
}
