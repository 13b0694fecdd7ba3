import { chownSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from '@jest/globals'
import type { HostConfig } from '../../host/config.ts'
import { Spares } from '../../host/spares.ts'
import { hostState } from '../../host/state.ts'
import { MACHINES } from '../../lib/datastores/machines.ts'
import { readJson, removeAll } from '../../lib/kit/os/files.ts'
import { silentLog } from '../kit/random.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { hostConfig, random } from './daemon-world.ts'
import { HOSTILE_UIDS, makeTarget, pidsOf, SWAP, whyNot } from './hostile.ts'

let config: HostConfig
const spares = () => new Spares({ config, machines: MACHINES, clock: realClock, random, log: silentLog })
const volume = (name: string) => join(config.dataDir, 'volumes', name)
const take = (from: Spares, name: string) => from.take('postgresql', '18', volume(name))
/** Makes a cluster another way than the stand-in of `hostConfig`; `$2` is where. */
function initdb(script: string): void {
  const path = join(config.dataDir, '..', 'engine', 'bin', 'initdb')
  writeFileSync(path, `#!/bin/sh\n[ "$1" = --version ] && exec echo "initdb (PostgreSQL) 18.4"\n${script}\n`)
}
afterEach(() => rmSync(join(config.dataDir, '..'), { recursive: true, force: true }))

describe('spare clusters', () => {
  it('are taken once each, and a cluster is made when none is left', async () => {
    config = hostConfig({ spare: { manager: 'postgresql', version: '18', count: 2 } })
    const source = spares()
    source.fill()
    const folder = join(config.dataDir, 'spares')
    const ready = async () => readdirSync(folder).filter(name => name.startsWith('ready-'))
    while ((await ready().catch(() => [])).length < 2) await realClock.sleep(10)
    await Promise.all(['a', 'b', 'c'].map(name => take(source, name)))
    expect(readdirSync(join(config.dataDir, 'volumes')).sort()).toEqual(['a', 'b', 'c'])
    for (const name of ['a', 'b', 'c']) expect(readdirSync(volume(name)).sort()).toEqual(['data', 'os_maint.pw'])
    expect(await ready()).toEqual([])
    await source.close()
  })

  it('leave no files when making one fails', async () => {
    config = hostConfig()
    initdb('mkdir "$2"; echo no space left >&2; exit 1')
    await expect(take(spares(), 'a')).rejects.toThrow('no space left')
    const contents = ['spares', 'volumes'].map(folder => readdirSync(join(config.dataDir, folder)))
    expect(contents).toEqual([[], []])
  })

  it.each(['before', 'during'])('do not bring back a data directory that was removed %s initdb', async when => {
    config = hostConfig({ spare: { manager: 'postgresql', version: '18', count: 2 } })
    const [started, gate] = ['started', 'gate'].map(name => join(config.dataDir, '..', name)) as [string, string]
    initdb(`echo > ${started}; until [ -e ${gate} ]; do sleep 0.01; done; mkdir -p "$2" && echo 18 > "$2/PG_VERSION"`)
    const source = spares()
    if (when === 'before') rmSync(config.dataDir, { recursive: true })
    source.fill()
    if (when === 'during') {
      while (!existsSync(started)) await realClock.sleep(10)
      rmSync(config.dataDir, { recursive: true })
    }
    writeFileSync(gate, '')
    await realClock.sleep(300)
    await source.close()
    expect(existsSync(config.dataDir)).toBe(false)
  })

  it('leave no files when their making is aborted', async () => {
    config = hostConfig({ spare: { manager: 'postgresql', version: '18', count: 1 } })
    const started = join(config.dataDir, '..', 'started')
    initdb(`mkdir "$2"; echo > ${started}; exec sleep 60`)
    const source = spares()
    source.fill()
    while (!existsSync(started)) await realClock.sleep(10)
    await source.close()
    expect(readdirSync(join(config.dataDir, 'spares'))).toEqual([])
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

  // A program of another service that runs as nobody, or one that initdb left.
  const withPerl = whyNot === undefined ? it : it.skip
  withPerl(
    'give nothing away that a link in them leads to',
    async () => {
      const { target, damage } = makeTarget()
      try {
        for (let round = 1; round <= 5; round++) {
          config = hostConfig({ firstUid: HOSTILE_UIDS })
          const program = join(config.dataDir, '..', 'swap.pl')
          writeFileSync(program, SWAP, { mode: 0o644 })
          const bait = `mkdir x; for i in $(seq 300); do echo > x/$i; done; ln -s ${target} y`
          const swap = `(exec perl ${program}) > /dev/null 2>&1 < /dev/null &`
          initdb(`mkdir "$2"; echo 18 > "$2/PG_VERSION"; ${bait}; ${swap}`)
          await take(spares(), 'a').catch(() => undefined)
          for (const pid of pidsOf(65_534)) {
            const path = `/proc/${pid}/cmdline`
            if (existsSync(path) && readFileSync(path, 'utf8').includes(program)) process.kill(Number(pid), 'SIGKILL')
          }
          rmSync(join(config.dataDir, '..'), { recursive: true })
        }
        expect(damage()).toEqual([])
      } finally {
        rmSync(target, { recursive: true })
      }
    },
    60_000,
  )

  asRoot('belong to a free uid once all were used', async () => {
    const firstUid = 1_500_000_000
    config = hostConfig({ firstUid })
    const { dataDir } = config
    expect(await take(spares(), 'a')).toBe(firstUid)
    // A volume and a server whose files are gone, and what a spare, a volume and a server left without a record own.
    const part = { instance: 'i', project: 'p', generation: 1, datastore: { manager: 'postgresql', version: '18' } }
    const { volumes, servers } = hostState(dataDir)
    await volumes.put({ ...part, name: 'v', sizeGb: 1, uid: firstUid + 1 })
    const place = { volume: 'v', flavor: { ramMb: 512, vcpus: 1 }, address: '127.0.0.1', port: 1 }
    await servers.put({ ...part, ...place, name: 's', uid: firstUid + 2 })
    for (const [index, folder] of ['spares', 'volumes', 'servers'].entries()) {
      const dir = join(dataDir, folder, 'draft-lost')
      mkdirSync(dir, { recursive: true })
      chownSync(dir, firstUid + 3 + index, firstUid + 3 + index)
    }
    writeFileSync(join(dataDir, 'state', 'uid.json'), String(firstUid + 49_999))
    expect(await take(spares(), 'b')).toBe(firstUid + 6)
    expect(await take(spares(), 'c')).toBe(firstUid + 7)
  })

  asRoot('belong to a uid that no other cluster in the making gets', async () => {
    const firstUid = 1_500_000_000
    config = hostConfig({ firstUid })
    const gate = join(config.dataDir, '..', 'gate')
    initdb(`until [ -e ${gate} ]; do sleep 0.01; done; mkdir "$2"; echo 18 > "$2/PG_VERSION"`)
    const last = join(config.dataDir, 'state', 'uid.json')
    const givenAfter = async (uid: number | undefined) => {
      while ((await readJson(last)) === uid) await realClock.sleep(10)
    }
    const source = spares()
    const a = take(source, 'a')
    await givenAfter(undefined)
    writeFileSync(last, String(firstUid + 49_999))
    const b = take(source, 'b')
    await givenAfter(firstUid + 49_999)
    writeFileSync(gate, '')
    expect(await Promise.all([a, b])).toEqual([firstUid, firstUid + 1])
  })
})
