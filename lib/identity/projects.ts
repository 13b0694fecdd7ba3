import { type Claims, DOMAIN, type Project } from './account.ts'
import { listBody, projectBody } from './bodies.ts'
import { authenticated, type Call, type Handler, isAdmin, json, notFound } from './http.ts'

/** `GET /v3/projects`: one's own, for an admin all; `?name=` narrows. */
export const listProjects: Handler = async call => {
  const caller = await authenticated(call)
  const { baseUrl, query } = call.request
  const elsewhere = query['domain_id'] !== undefined && query['domain_id'] !== DOMAIN.id
  const found = elsewhere ? [] : await visible(call, caller, query['name'])
  const bodies = found.map(project => projectBody(project, baseUrl))
  return json(200, listBody('projects', bodies, baseUrl, 'projects'))
}

async function visible({ deps }: Call, caller: Claims, name: string | undefined): Promise<Project[]> {
  const { accounts } = deps.identity
  if (name === undefined) return isAdmin(caller) ? accounts.projects() : accounts.projectsOf(caller.user.id)
  const project = await accounts.projectByName(name)
  return project && (await maySee(deps.identity, caller, project)) ? [project] : []
}

/** `GET /v3/projects/{id}`. Another's is not there, as far as one can tell. */
export const showProject: Handler = async call => {
  const caller = await authenticated(call)
  const { identity } = call.deps
  const project = await identity.accounts.project(call.params[0] ?? '')
  if (!project || !(await maySee(identity, caller, project))) throw notFound('project')
  return json(200, { project: projectBody(project, call.request.baseUrl) })
}

async function maySee({ accounts }: Call['deps']['identity'], caller: Claims, { id }: Project): Promise<boolean> {
  return isAdmin(caller) || (await accounts.roles(caller.user.id, id)).length > 0
}
