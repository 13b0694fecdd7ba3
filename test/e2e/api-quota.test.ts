import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it, jest } from '@jest/globals'
import { faultOf } from './api-helpers.ts'
import { ownCloud } from './cloud.ts'
import { type Answer, deleteInstance } from './coffer.ts'

jest.setTimeout(120_000)

const { coffer, demo } = ownCloud()

/** Requests that many instances at the same moment. */
const create = (count: number, size: number) =>
  Promise.all(
    Array.from({ length: count }, (_, index) =>
      demo.call('POST', '/instances', { instance: { name: `n${index}`, flavorRef: 1, volume: { size } } }),
    ),
  )
const createdIds = (answers: Answer[]): string[] =>
  answers.filter(({ status }) => status === 200).map(({ body }) => body.instance.id)
const refused = (answers: Answer[]) => answers.filter(({ status }) => status !== 200).map(faultOf)
const over = (names: string) => ({ name: 'overLimit', code: 413, message: `Quota exceeded for resources: [${names}].` })
/** The used quota in the store, by resource. */
function usedQuota(): Record<string, unknown> {
  const store = new DatabaseSync(join(coffer.dataDir, 'coffer.db'), { readOnly: true })
  const rows = store.prepare("SELECT id, body FROM records WHERE id LIKE 'quota#%'").all()
  store.close()
  return Object.fromEntries(
    rows.map(({ id, body }) => [String(id).replace('quota#', ''), JSON.parse(String(body)).used]),
  )
}
const remove = (ids: string[]) => Promise.all(ids.map(id => deleteInstance(demo, id)))

it('admits exactly the quota of 10 instances, also when the first two are requested at once', async () => {
  const first = await create(2, 1)
  expect(refused(first)).toEqual([])
  const rest = await create(10, 1)
  expect(refused(rest)).toEqual([over("'instances'"), over("'instances'")])
  const ids = createdIds([...first, ...rest])
  expect(ids).toHaveLength(10)
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

it('admits exactly 40 GB of volumes, after all quota was returned', async () => {
  const answers = await create(5, 10)
  expect(refused(answers)).toEqual([over("'volumes'")])
  await remove(createdIds(answers))
  expect(usedQuota()).toEqual({ instances: 0, ram: 0, volumes: 0 })
})
