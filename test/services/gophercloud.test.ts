import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { bash, startWorld, type World } from './clients.ts'

/** Built by `npm run test:services` from `gophercloud/main.go`, which describes what it does. */
const SESSION = join(import.meta.dirname, '..', '..', 'build', 'gophercloud-session')

/** The statuses that Terraform's provider waits for; any other one aborts it. */
const PENDING = ['BUILD']
const TARGET = ['ACTIVE', 'HEALTHY']
const DELETING = ['ACTIVE', 'SHUTDOWN']

describe('gophercloud, and so Terraform', () => {
  let world: World
  let statuses: Record<string, string[]>
  beforeAll(async () => {
    world = await startWorld()
  }, 90_000)
  afterAll(() => world.end(), 60_000)

  it('makes every call of its database packages', async () => {
    const { code, out, err } = await bash(
      `OS_CLIENT_CONFIG_FILE=${world.coffer.dataDir}/clouds.yaml OS_CLOUD=coffer exec ${SESSION}`,
    )
    expect({ code, err }).toEqual({ code: 0, err: '' })
    statuses = JSON.parse(out)
    expect(Object.keys(statuses).toSorted()).toEqual(['create', 'delete', 'resize', 'resize_volume', 'restart'])
  }, 180_000)

  it('sees BUILD, then the status it waits for, and nothing else', () => {
    const words = statuses['create'] ?? []
    expect(PENDING).toContain(words[0])
    expect(TARGET).toContain(words.at(-1))
    expect(words).toHaveLength(2)
  })

  it('sees a deleted instance as ACTIVE and SHUTDOWN only, then 404', () => {
    const words = statuses['delete'] ?? []
    expect(words.at(-1)).toBe('404')
    for (const word of words.slice(0, -1)) expect(DELETING).toContain(word)
  })
})
