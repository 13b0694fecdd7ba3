import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from '@jest/globals'
import type { HostConfig } from '../../host/config.ts'
import { Spares } from '../../host/spares.ts'
import { removeAll } from '../../lib/kit/files.ts'
import { silentLog } from '../kit/random.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { hostConfig, random } from './daemon-world.ts'

let config: HostConfig
const spares = () => new Spares({ config, clock: realClock, random, log: silentLog })
const volume = (name: string) => join(config.dataDir, 'volumes', name)
const take = (from: Spares, name: string) => from.take('postgresql', '18', volume(name))
afterEach(() => rmSync(join(config.dataDir, '..'), { recursive: true, force: true }))

describe('spare clusters', () => {
  it('are taken once each, and made where there is none', async () => {
    config = hostConfig({ spare: { manager: 'postgresql', version: '18', count: 2 } })
    const made = spares()
    made.fill()
    const folder = join(config.dataDir, 'spares')
    const ready = async () => readdirSync(folder).filter(name => name.startsWith('ready-'))
    while ((await ready().catch(() => [])).length < 2) await realClock.sleep(10)
    await Promise.all(['a', 'b', 'c'].map(name => take(made, name)))
    expect(readdirSync(join(config.dataDir, 'volumes')).sort()).toEqual(['a', 'b', 'c'])
    for (const name of ['a', 'b', 'c']) expect(readdirSync(volume(name)).sort()).toEqual(['data', 'os_maint.pw'])
    expect(await ready()).toEqual([])
    await made.close()
  })

  // Only root can give a volume to another uid.
  const asRoot = process.getuid?.() === 0 ? it : it.skip
  asRoot('belong to a uid that no volume had before, nor after a restart or a removal', async () => {
    config = hostConfig({ firstUid: 1_500_000_000 })
    const first = spares()
    const uids = await Promise.all(['a', 'b'].map(name => take(first, name)))
    expect(uids.toSorted()).toEqual([1_500_000_000, 1_500_000_001])
    expect(['a', 'b'].map(name => lstatSync(join(volume(name), 'data', 'PG_VERSION')).uid)).toEqual(uids)
    // Asked for again: the same volume, and the same owner.
    expect(await take(first, 'a')).toBe(uids[0])
    await removeAll(volume('b'))
    expect(await take(spares(), 'c')).toBe(1_500_000_002)
  })
})
