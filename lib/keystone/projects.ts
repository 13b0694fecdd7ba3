import { type Claims, DOMAIN, type Project } from '../ports/accounts.ts'
import { listBody, projectBody } from './bodies.ts'
import { isAdmin, type KeystoneCall, type KeystoneHandler, keystoneNotFound, requireToken } from './http.ts'

/** `GET /v3/projects`: those of the caller, for an admin all; `?name=` and `?domain_id=` filter. */
export const listProjects: KeystoneHandler = async call => {
  const caller = await requireToken(call)
  const { baseUrl, query } = call.request
  const isOtherDomain = query['domain_id'] !== undefined && query['domain_id'] !== DOMAIN.id
  const projects = isOtherDomain ? [] : await visibleProjects(call, caller, query['name'])
  const bodies = projects.map(project => projectBody(project, baseUrl))
  return { status: 200, body: listBody('projects', bodies, baseUrl, 'projects') }
}

async function visibleProjects(
  { deps: { identity } }: KeystoneCall,
  caller: Claims,
  name: string | undefined,
): Promise<Project[]> {
  const { accounts } = identity
  if (name === undefined) return isAdmin(caller) ? accounts.projects() : accounts.projectsOf(caller.user.id)
  const project = await accounts.projectByName(name)
  return project && (await maySee(identity, caller, project)) ? [project] : []
}

/** `GET /v3/projects/{projectId}`. A project of others looks like one that does not exist. */
export const showProject: KeystoneHandler = async call => {
  const caller = await requireToken(call)
  const { identity } = call.deps
  const project = await identity.accounts.project(call.params['projectId'] ?? '')
  if (!project || !(await maySee(identity, caller, project))) throw keystoneNotFound('project')
  return { status: 200, body: { project: projectBody(project, call.request.baseUrl) } }
}

async function maySee(
  { accounts }: KeystoneCall['deps']['identity'],
  caller: Claims,
  { id }: Project,
): Promise<boolean> {
  return isAdmin(caller) || (await accounts.roles(caller.user.id, id)).length > 0
}
