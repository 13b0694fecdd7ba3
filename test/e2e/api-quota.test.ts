import { afterAll, beforeAll, expect, it, jest } from '@jest/globals'
import { faultOf } from './api-helpers.ts'
import { type Answer, type Coffer, deleteInstance, type Session, startCoffer, wipe } from './coffer.ts'

jest.setTimeout(120_000)

let coffer: Coffer
let demo: Session
beforeAll(async () => {
  coffer = await startCoffer()
  demo = await coffer.login()
})
afterAll(async () => {
  await coffer?.stop()
  await wipe(coffer.dataDir)
})

/** Asks for that many at the same moment. */
const create = (count: number, size: number) =>
  Promise.all(
    Array.from({ length: count }, (_, index) =>
      demo.call('POST', '/instances', { instance: { name: `n${index}`, flavorRef: 1, volume: { size } } }),
    ),
  )
const made = (answers: Answer[]): string[] =>
  answers.filter(({ status }) => status === 200).map(({ body }) => body.instance.id)
const refused = (answers: Answer[]) => answers.filter(({ status }) => status !== 200).map(faultOf)
const over = (names: string) => ({ name: 'overLimit', code: 413, message: `Quota exceeded for resources: [${names}].` })
const remove = (ids: string[]) => Promise.all(ids.map(id => deleteInstance(demo, id)))

it('lets a new project make two instances at the same moment', async () => {
  const answers = await create(2, 1)
  expect(refused(answers)).toEqual([])
  await remove(made(answers))
})

it('admits exactly the quota of 10 instances, and all of it again after they are deleted', async () => {
  const answers = await create(12, 1)
  expect(refused(answers)).toEqual([over("'instances'"), over("'instances'")])
  const ids = made(answers)
  expect(ids).toHaveLength(10)
  expect((await demo.call('GET', '/instances?limit=100')).body.instances).toHaveLength(10)
  const listed: string[] = []
  for (let next: string | undefined = '/instances?limit=3'; next !== undefined; ) {
    const { body } = await demo.call('GET', next)
    listed.push(...body.instances.map(({ id }: { id: string }) => id))
    expect(body.instances_links).toEqual(body.links)
    next = body.links?.[0].href
  }
  expect(listed.toSorted()).toEqual(ids.toSorted())
  await remove(ids)
})

it('admits exactly 40 GB of volumes, names all that is exceeded, and gets all of it back', async () => {
  const answers = await create(5, 10)
  expect(refused(answers)).toEqual([over("'volumes'")])
  const more = await create(6, 1)
  expect(refused(more)).toEqual(Array(6).fill(over("'volumes'")))
  await remove(made(answers))
  const ids = made(await create(10, 4))
  expect(ids).toHaveLength(10)
  expect(refused(await create(1, 1))).toEqual([over("'instances', 'volumes'")])
  await remove(ids)
})
