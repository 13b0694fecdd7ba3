import { type ApiRequest, type ApiResponse, sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'
import { scenarios, theInstance } from './scenarios.ts'

export const BODY = {
  instance: {
    name: 'shop',
    flavorRef: 1,
    volume: { size: 1 },
    users: [{ name: 'ann', password: 'canary-1', databases: [{ name: 'cart' }] }],
    databases: [{ name: 'cart' }],
  },
}
export const KEYED = { 'idempotency-key': 'key-1' }

export const create = (changes: Partial<ApiRequest> = {}): ApiRequest => {
  return { method: 'POST', path: '/instances', body: BODY, headers: KEYED, ...changes }
}
export const countOf = async (world: World, kind: string) => (await world.store.all(kind, { limit: 100 })).items.length

export async function activeWorld(): Promise<{ world: World; id: string }> {
  const world = await new World().open()
  await world.request(platform => scenarios.create_instance.begin(platform))
  await world.until('instance', () => scenarios.create_instance.done(world))
  return { world, id: (await theInstance(world))?.id ?? '' }
}

/** Sends a request, and lets the world go on until it is answered: the agent takes part in it. */
export async function sendUntilAnswered(world: World, request: ApiRequest): Promise<ApiResponse> {
  let answer: ApiResponse | undefined
  void sendRequest(world, request).then(response => {
    answer = response
  })
  await world.until('answer', async () => answer !== undefined, 60_000)
  return answer as ApiResponse
}
