import { describe, expect, it } from '@jest/globals'
import { instances } from '../../../lib/model/instance.ts'
import { sendRequest } from '../../sim/api.ts'
import { World } from '../../sim/world.ts'

const SPEC = { name: 'shop', flavorRef: 1, volume: { size: 1 }, datastore: { type: 'postgresql' } }

/** The stored instance that such a request makes. */
async function storedInstance(fields: object) {
  const world = await new World().open()
  const response = await sendRequest(world, {
    method: 'POST',
    path: '/instances',
    body: { instance: { ...SPEC, ...fields } },
  })
  expect(response?.status).toBe(200)
  const { id } = JSON.parse(response?.text ?? '').instance
  return (await instances.get(world.store, 'p1', id))?.body
}

describe('a new instance', () => {
  it('keeps the network and the zone that it was requested in', async () => {
    const nics = [{ 'net-id': '4f5a0bba-3b2c-4d3a-9f0e-0d5a6e7f8a9b' }]
    const instance = await storedInstance({ nics, availability_zone: 'nova' })
    expect(instance).toMatchObject({ nics, availabilityZone: 'nova' })
  })

  it('has neither if the request names none', async () => {
    const instance = await storedInstance({ nics: [], availability_zone: null })
    expect(instance).not.toHaveProperty('nics')
    expect(instance).not.toHaveProperty('availabilityZone')
  })
})
