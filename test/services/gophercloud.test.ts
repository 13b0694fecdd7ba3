import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { bash, startWorld, type World } from './clients.ts'

/** Built by `npm run test:services` from `gophercloud/main.go`, which says what it does. */
const SESSION = join(import.meta.dirname, '..', '..', 'build', 'gophercloud-session')

/** The words that Terraform's provider waits on; any other one aborts what it does. */
const PENDING = ['BUILD']
const TARGET = ['ACTIVE', 'HEALTHY']
const LEAVING = ['ACTIVE', 'SHUTDOWN']

describe('gophercloud, and so Terraform', () => {
  let world: World
  let seen: Record<string, string[]>
  beforeAll(async () => {
    world = await startWorld()
  }, 90_000)
  afterAll(() => world.end(), 60_000)

  it('does all that its database packages can do', async () => {
    const { code, out, err } = await bash(
      `OS_CLIENT_CONFIG_FILE=${world.coffer.dataDir}/clouds.yaml OS_CLOUD=coffer exec ${SESSION}`,
    )
    expect({ code, err }).toEqual({ code: 0, err: '' })
    seen = JSON.parse(out)
    expect(Object.keys(seen).toSorted()).toEqual(['create', 'delete', 'resize', 'resize_volume', 'restart'])
  }, 180_000)

  it('sees BUILD, then what it waits for, and nothing else', () => {
    const words = seen['create'] ?? []
    expect(PENDING).toContain(words[0])
    expect(TARGET).toContain(words.at(-1))
    expect(words).toHaveLength(2)
  })

  it('sees an instance leave by ACTIVE and SHUTDOWN only, then 404', () => {
    const words = seen['delete'] ?? []
    expect(words.at(-1)).toBe('404')
    for (const word of words.slice(0, -1)) expect(LEAVING).toContain(word)
  })
})
