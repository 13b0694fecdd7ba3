import { type AppCredential, type Claims, DOMAIN, type NameOrId, type Project, type User } from '../ports/accounts.ts'
import { keystoneTimestamp } from './timestamp.ts'

const REGION = 'RegionOne'

const v3 = (baseUrl: string) => `${baseUrl}/identity/v3`
const inDomain = ({ id, name }: NameOrId) => ({ id, name, domain: DOMAIN })
/** A role's name is its id. */
const roleOf = (name: string) => ({ id: name, name })

/** The only version of the API. */
export function versionBody(baseUrl: string) {
  return {
    id: 'v3.14',
    status: 'stable',
    updated: '2020-04-07T00:00:00Z',
    links: [{ rel: 'self', href: `${v3(baseUrl)}/` }],
    'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.identity-v3+json' }],
  }
}

/** The service catalog of a project. */
export function catalogBody(baseUrl: string, projectId: string) {
  const service = (type: string, name: string, url: string) => ({
    id: name,
    type,
    name,
    endpoints: ['public', 'internal', 'admin'].map(side => ({
      id: `${name}-${side}`,
      interface: side,
      region: REGION,
      region_id: REGION,
      url,
    })),
  })
  return [service('database', 'trove', `${baseUrl}/v1.0/${projectId}`), service('identity', 'keystone', v3(baseUrl))]
}

/** The response of `POST` and `GET /v3/auth/tokens`; without a project it has no roles and no catalog. */
export function tokenBody(claims: Claims, baseUrl: string, withCatalog: boolean) {
  const { id, chain, user, project, roles, methods, credential, issued, expires } = claims
  return {
    token: {
      methods,
      user: { ...inDomain(user), password_expires_at: null },
      audit_ids: chain === undefined ? [id] : [id, chain],
      issued_at: keystoneTimestamp(issued),
      expires_at: keystoneTimestamp(expires),
      ...(project && { project: inDomain(project), is_domain: false, roles: roles.map(roleOf) }),
      ...(project && withCatalog && { catalog: catalogBody(baseUrl, project.id) }),
      ...(credential && { application_credential: { ...credential, restricted: true } }),
    },
  }
}

export function projectBody({ id, name }: Project, baseUrl: string) {
  return {
    id,
    name,
    domain_id: DOMAIN.id,
    parent_id: DOMAIN.id,
    enabled: true,
    is_domain: false,
    description: '',
    tags: [],
    options: {},
    links: { self: `${v3(baseUrl)}/projects/${id}` },
  }
}

export function userBody({ id, name, enabled, defaultProject }: User, baseUrl: string) {
  return {
    id,
    name,
    domain_id: DOMAIN.id,
    enabled,
    ...(defaultProject !== undefined && { default_project_id: defaultProject }),
    password_expires_at: null,
    options: {},
    links: { self: `${v3(baseUrl)}/users/${id}` },
  }
}

/** Without the secret. Keystone writes this time without a zone, and gophercloud relies on it. */
export function credentialBody(credential: AppCredential, baseUrl: string) {
  const { id, name, user, project, roles, description, expires } = credential
  return {
    id,
    name,
    description: description ?? null,
    user_id: user,
    project_id: project,
    roles: roles.map(role => ({ ...roleOf(role), domain_id: null })),
    expires_at: expires === undefined ? null : keystoneTimestamp(expires).replace('Z', ''),
    unrestricted: false,
    system: null,
    links: { self: `${v3(baseUrl)}/users/${user}/application_credentials/${id}` },
  }
}

/** A complete collection under its name: Keystone's lists are not paged here. */
export function listBody(name: string, items: unknown[], baseUrl: string, path: string) {
  return { [name]: items, links: { self: `${v3(baseUrl)}/${path}`, previous: null, next: null } }
}
