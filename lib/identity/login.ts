import { type AppCredential, type Claims, DOMAIN, type Project, type User } from './account.ts'
import { badRequest, type Call, forbidden, unauthorized } from './http.ts'
import type { Auth, Domain, PasswordMethod, ProjectRef, SecretMethod } from './schemas.ts'

/** Who somebody turned out to be, and what bounds the token for it. */
interface Proven {
  user: User
  methods: string[]
  /** The token that it was proven with. */
  parent?: Claims
  credential?: AppCredential
}

/** What a token is for. */
interface Scope {
  project: Project
  roles: string[]
}

/** Checks what a client knows and makes the token that it asks for. Throws a 400, 401 or 403. */
export async function logIn(call: Call, auth: Auth): Promise<{ token: string; claims: Claims }> {
  const proven = await prove(call, auth.identity)
  const scope = await scopeOf(call, proven, auth.scope)
  const { user, methods, parent, credential } = proven
  const app = credential ?? parent?.credential
  const chain = parent && (parent.chain ?? parent.id)
  // A token got with a token or a credential never outlives it.
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

async function prove(call: Call, identity: Auth['identity']): Promise<Proven> {
  const [method, ...others] = new Set(identity.methods)
  if (others.length > 0) throw badRequest('Only one authentication method at a time is supported.')
  if (method === 'password' && identity.password) return byPassword(call, identity.password)
  if (method === 'token' && identity.token) return byToken(call, identity.token.id)
  if (method === 'application_credential' && identity.application_credential) {
    return bySecret(call, identity.application_credential)
  }
  const known = ['password', 'token', 'application_credential'].includes(method ?? '')
  throw known ? badRequest(`Expecting to find ${method} in identity.`) : unauthorized()
}

async function byPassword({ deps }: Call, { user: given }: PasswordMethod): Promise<Proven> {
  const user = await deps.identity.logins.byPassword(whoIs(given), given.password)
  if (user) return { user, methods: ['password'] }
  deps.log.warn({ user: given.id?.slice(0, 64) }, 'login refused')
  throw unauthorized()
}

async function byToken({ deps }: Call, token: string): Promise<Proven> {
  const parent = await deps.identity.tokens.read(token)
  const user = parent && (await deps.identity.accounts.user(parent.user.id))
  if (!user) throw unauthorized()
  return { user, parent, methods: [...new Set([...parent.methods, 'token'])] }
}

async function bySecret({ deps }: Call, given: SecretMethod): Promise<Proven> {
  const proven = await deps.identity.logins.bySecret(await whichCredential(deps, given), given.secret)
  if (proven) return { ...proven, methods: ['application_credential'] }
  deps.log.warn({ credential: given.id?.slice(0, 64) }, 'login refused')
  throw unauthorized()
}

async function whichCredential({ identity }: Call['deps'], { id, name, user }: SecretMethod) {
  if (id !== undefined) return { id }
  if (name === undefined || !user) throw badRequest('An application credential needs an id, or a name and a user.')
  const who = whoIs(user)
  // An unknown user is looked for all the same, so that it takes the usual time to refuse.
  const userId = 'id' in who ? who.id : (await identity.accounts.userByName(who.name))?.id
  return { user: userId ?? '', name }
}

/** The user meant. One of another domain is somebody whom we do not know. */
function whoIs({ id, name, domain }: ProjectRef): { id: string } | { name: string } {
  if (id !== undefined) return { id }
  if (name === undefined) throw badRequest('A user needs an id, or a name and a domain.')
  return isOurs(domain) ? { name } : { id: '' }
}

function isOurs(domain: Domain | undefined): boolean {
  if (domain?.id !== undefined) return domain.id === DOMAIN.id
  // Lenient: with one domain only, leaving it out is not ambiguous; and Keystone on MySQL ignores the case.
  return domain?.name === undefined || domain.name.toLowerCase() === DOMAIN.name.toLowerCase()
}

/** The project asked for, or the default one, with the user's roles in it; nothing for a token without a project. */
async function scopeOf(call: Call, proven: Proven, asked: Auth['scope']): Promise<Scope | undefined> {
  const bound = proven.credential ?? boundBy(proven.parent)
  if (bound) return boundScope(call, proven, bound, asked)
  if (asked === undefined) return defaultScope(call, proven.user)
  if (asked === 'unscoped' || (typeof asked === 'object' && 'unscoped' in asked)) return undefined
  const project = typeof asked === 'object' && asked.project && (await findProject(call, asked.project))
  const scope = project && (await within(call, proven.user, project))
  if (!scope) throw unauthorized()
  return scope
}

/** A token of an application credential passes its bounds on to the tokens that it gets. */
function boundBy(parent: Claims | undefined): { project: string; roles: string[] } | undefined {
  if (!parent?.credential || !parent.project) return undefined
  return { project: parent.project.id, roles: parent.roles }
}

async function boundScope(
  call: Call,
  { user, parent }: Proven,
  bound: { project: string; roles: string[] },
  asked: Auth['scope'],
): Promise<Scope> {
  const project = await call.deps.identity.accounts.project(bound.project)
  const scope = project && (await within(call, user, project))
  // Roles taken from the user are taken from its credentials, too.
  const roles = scope?.roles.filter(role => bound.roles.includes(role)) ?? []
  if (!scope || roles.length === 0) throw unauthorized()
  if (asked !== undefined && !parent) throw unauthorized()
  if (asked !== undefined && !(await sameProject(call, asked, scope.project))) throw forbidden()
  return { project: scope.project, roles }
}

async function sameProject(call: Call, asked: Auth['scope'], project: Project): Promise<boolean> {
  if (typeof asked !== 'object' || !asked.project) return false
  return (await findProject(call, asked.project))?.id === project.id
}

async function defaultScope(call: Call, user: User): Promise<Scope | undefined> {
  if (user.defaultProject === undefined) return undefined
  const project = await call.deps.identity.accounts.project(user.defaultProject)
  return project && within(call, user, project)
}

async function findProject({ deps }: Call, { id, name, domain }: ProjectRef): Promise<Project | undefined> {
  if (id !== undefined) return deps.identity.accounts.project(id)
  if (name === undefined) throw badRequest('A project needs an id, or a name and a domain.')
  return isOurs(domain) ? deps.identity.accounts.projectByName(name) : undefined
}

async function within({ deps }: Call, user: User, project: Project): Promise<Scope | undefined> {
  const roles = await deps.identity.accounts.roles(user.id, project.id)
  return roles.length > 0 ? { project, roles } : undefined
}
