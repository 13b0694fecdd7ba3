import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { ANN, CART, ownCloud } from './cloud.ts'
import { type Answer, createInstance, until, waitUntilActive } from './coffer.ts'
import { connect } from './fault-injection.ts'

describe('the size of a volume', () => {
  const { coffer, demo } = ownCloud()
  const show = async (id: string): Promise<Answer['body']> => (await demo.call('GET', `/instances/${id}`)).body.instance
  const sitePath = (id: string) => join(coffer.dataDir, 'servers', `server-${id}-1.site.json`)
  const siteOf = (id: string) => JSON.parse(readFileSync(sitePath(id), 'utf8'))
  /** So that nothing has to write a gigabyte. */
  const setSize = (id: string, sizeGb: number) => writeFileSync(sitePath(id), JSON.stringify({ ...siteOf(id), sizeGb }))
  const acted = (id: string, action: object) => demo.call('POST', `/instances/${id}/action`, action)
  const untilState = (id: string, operating: string, fault: RegExp | undefined) =>
    until(
      `${operating} ${fault}`,
      async () => {
        const { operating_status, fault: current } = await show(id)
        const fits = fault ? fault.test(current?.message ?? '') : current === undefined
        return operating_status === operating && fits
      },
      40_000,
    )

  it('is a limit, which its owner sees, and can do something about', async () => {
    const instance = await createInstance(demo, CART)
    const { id } = instance
    expect(siteOf(id).sizeGb).toBe(1)
    const ann = await connect(instance, ANN)
    await ann.query('CREATE TABLE kept AS SELECT 42 AS n')
    await ann.end()
    const used = await until('use', async () => (await show(id)).volume.used)

    setSize(id, used / 0.97)
    await untilState(id, 'HEALTHY', /read-only/)
    const reader = await connect(instance, ANN)
    await expect(reader.query('INSERT INTO kept VALUES (43)')).rejects.toMatchObject({ code: '25006' })
    // The API goes on.
    expect((await demo.call('POST', `/instances/${id}/databases`, { databases: [{ name: 'x' }] })).status).toBe(202)
    await reader.end()

    setSize(id, used / 1.5)
    await untilState(id, 'SHUTDOWN', /^The database was stopped/)
    expect((await acted(id, { restart: {} })).status).toBe(202)
    await waitUntilActive(demo, id)
    const owner = await connect(instance, ANN)
    expect((await owner.query('SELECT n FROM kept')).rows).toEqual([{ n: 42 }])
    await owner.end()

    // The host tells the agent the new size at once.
    expect((await acted(id, { resize: { volume: { size: 2 } } })).status).toBe(202)
    await untilState(id, 'HEALTHY', undefined)
    expect(siteOf(id).sizeGb).toBe(2)
    const writer = await connect(instance, ANN)
    await writer.query('INSERT INTO kept VALUES (43)')
    await writer.end()
  })
})
