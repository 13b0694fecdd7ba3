import { routes } from '../../lib/catalog/routes.ts'
import { parseAs } from '../../lib/kit/http/parse.ts'
import { type Call, router } from '../../lib/kit/http/route.ts'
import type { Platform } from '../../lib/platform/platform.ts'
import { silentLog } from '../kit/random.ts'
import { perform } from '../sim/perform.ts'

export const NO_SUCH_ID = '00000000-0000-4000-8000-000000000000'
export const ENGINE_17 = 'c2a4b9de-4a57-4f0e-9b61-7d3e5c8f1b17'
export const MANAGED = '/mgmt/datastore-versions'

const find = router(routes)

/** The catalog's routes, called as the pipeline does. */
export function catalogApi(platform: Platform) {
  /** The response's status and body, or the status and message of a refusal. */
  async function send(method: string, path: string, body?: unknown, admin = true) {
    const match = find(method, `/v1.0/p1${path}`)
    if (!match) throw new Error(`no route ${method} ${path}`)
    try {
      const call: Call<unknown, Platform> = {
        deps: platform,
        method,
        params: match.params,
        query: {},
        body: match.route.body && parseAs(match.route.body, body ?? {}),
        project: 'p1',
        user: 'u1',
        admin,
        requestId: 'req-1',
        baseUrl: 'https://db.example.org',
        log: silentLog,
      }
      const reply = await perform(platform, () => match.route.handle(call as Call<never, Platform>))
      return { status: reply.status, ...Object(reply.body) }
    } catch (error) {
      const { status, message } = Object(error)
      return { status, message }
    }
  }

  const managedVersions = async () => (await send('GET', MANAGED)).versions as Record<string, unknown>[]

  return {
    send,
    managedVersions,
    /** The id of the version with this name. */
    versionId: async (name: string) =>
      String((await managedVersions()).find(version => version['name'] === name)?.['id']),
    /** Each datastore in the list: its name, then the names of its versions. */
    async datastoreNames(admin: boolean) {
      const { datastores } = await send('GET', '/datastores', undefined, admin)
      return datastores.map(({ name, versions }: { name: string; versions: { name: string }[] }) => [
        name,
        ...versions.map(version => version.name),
      ])
    },
  }
}

/** The body of a request for version `own` of postgresql 17, with these fields changed. */
export const newVersion = (fields: object = {}) => ({
  version: {
    name: 'own',
    datastore_name: 'postgresql',
    datastore_manager: 'postgresql',
    image: '17',
    active: true,
    ...fields,
  },
})
