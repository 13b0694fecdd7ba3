import { z } from 'zod'
import { badRequest, cut, forbidden, notFound } from '../kit/errors.ts'
import { bodied, type Call, ok, type Reply, type Route, route } from '../kit/http/route.ts'
import { retrying } from '../kit/records.ts'
import type { Platform } from '../platform/platform.ts'
import { allowanceOf, type Limits, OWN_LIMITS, ownLimits, quotas, RESOURCES, type Resource } from './quota.ts'
import { QuotaChange, QuotaLimits, QuotaList } from './schemas.ts'

const Body = z.object({ quotas: z.record(z.string(), z.unknown().nullable()) }).transform(body => body.quotas)

/** Digits too: XML has strings only. */
const Limit = z.union([z.int(), z.string().regex(/^-?[0-9]{1,10}$/)]).transform(Number)
const MOST = 2 ** 31 - 1

/** A project's id, as far as a store takes it: whether there is such a project, the identity service knows. */
function projectOf({ params }: Call): string {
  const id = params['project'] ?? ''
  if (!/^[\w.-]{1,64}$/.test(id)) throw notFound(`Project ${cut(id)} cannot be found.`)
  return id
}

async function show(call: Call<unknown, Platform>): Promise<Reply> {
  if (!call.admin && call.params['project'] !== call.project) {
    throw forbidden("Policy does not allow another project's quota to be shown.")
  }
  const { store } = call.deps
  const project = projectOf(call)
  const { limits } = await allowanceOf(store, project)
  const rows = RESOURCES.map(async resource => {
    const used = (await quotas.get(store, project, resource))?.body.used ?? 0
    // What is reserved is in use at once: both are one transaction.
    return { resource, in_use: used, reserved: 0, limit: limits[resource] }
  })
  return { status: 200, body: { quotas: await Promise.all(rows) } }
}

/** The limits asked for, without what is to be skipped. Throws 404 for an unknown resource, 400 for what is no limit. */
export function wantedLimits(asked: Record<string, unknown>): Partial<Limits> {
  const wanted: Partial<Limits> = {}
  for (const [name, value] of Object.entries(asked)) {
    if (value === null || name === 'xmlns') continue
    if (!isResource(name)) throw notFound(`Quota resource ${cut(name)} cannot be found.`)
    const limit = Limit.safeParse(value)
    if (!limit.success || limit.data > MOST) throw badRequest(`The limit of ${name} is not a whole number.`)
    if (limit.data < -1) throw badRequest(`Quota limit ${limit.data} of ${name} is too small: -1 means no limit.`)
    wanted[name] = limit.data
  }
  return wanted
}

const isResource = (name: string): name is Resource => RESOURCES.some(resource => resource === name)

/** Limits below what is in use are fine: they stop what comes next. */
async function update(call: Call<z.infer<typeof Body>, Platform>): Promise<Reply> {
  const { store } = call.deps
  const project = projectOf(call)
  const wanted = wantedLimits(call.body)
  await retrying(store, async () => {
    const { own } = await allowanceOf(store, project)
    const change = own
      ? ownLimits.replace(own, { ...own.body, ...wanted })
      : ownLimits.create(project, OWN_LIMITS, wanted)
    return { changes: Object.keys(wanted).length > 0 ? [change] : [], result: undefined }
  })
  return { status: 200, body: { quotas: wanted } }
}

const PATH = '/mgmt/quotas/{project}'

export const routes: Route<Platform>[] = [
  route({ method: 'GET', path: PATH, suffix: true, summary: "Show a project's quotas", answers: ok(QuotaList) }, show),
  bodied(
    {
      method: 'PUT',
      path: PATH,
      audience: 'admin',
      suffix: true,
      summary: "Change a project's limits",
      body: Body,
      shownBody: QuotaChange,
      answers: ok(QuotaLimits),
      example: { quotas: { instances: 20 } },
    },
    update,
  ),
]
