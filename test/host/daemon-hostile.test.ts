import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { volumeDir } from '../../host/state.ts'
import { realClock } from '../kit/virtual-clock.ts'
import { type DaemonWorld, daemonWorld, part, server, volume, volumeOf } from './daemon-world.ts'
import { endAllOf, FORK_CHAIN, HOSTILE_UIDS, makeBait, makeTarget, pidsOf, runAs, SWAP, whyNot } from './hostile.ts'

// Without root all instances run as one user, and there is no boundary to attack.
const asRoot = whyNot === undefined ? describe : describe.skip

asRoot('a program of a tenant, where each instance has a uid of its own (as root, with perl)', () => {
  let world: DaemonWorld
  beforeEach(async () => {
    world = await daemonWorld({ firstUid: HOSTILE_UIDS })
    await world.daemon.handlers.create_volume(volume, undefined)
    await world.daemon.handlers.create_server(server, undefined)
  })
  afterEach(async () => {
    for (let uid = HOSTILE_UIDS; uid < HOSTILE_UIDS + 15; uid++) endAllOf(uid)
    await world.remove()
  }, 60_000)

  /** Looks often, for a chain of processes is seen by chance only. */
  async function survivors(uid: number): Promise<string[]> {
    const pids: string[] = []
    for (let look = 0; look < 50; look++) {
      pids.push(...pidsOf(uid))
      await realClock.sleep(2)
    }
    return pids
  }

  it('that forks and ends without pause is ended with its server', async () => {
    await runAs(HOSTILE_UIDS, '/', FORK_CHAIN)
    await world.daemon.handlers.delete_server(part(server.name), undefined)
    expect(await survivors(HOSTILE_UIDS)).toEqual([])
  }, 60_000)

  it('is ended when the data directory is removed', async () => {
    await runAs(HOSTILE_UIDS, '/', FORK_CHAIN)
    rmSync(world.config.dataDir, { recursive: true })
    await world.daemon.stop()
    expect(await survivors(HOSTILE_UIDS)).toEqual([])
  }, 60_000)

  it('is ended when the data directory is removed while its agent starts', async () => {
    const starting = world.daemon.handlers.reboot_server({ ...part(server.name), changeId: 'r1' }, undefined)
    rmSync(world.config.dataDir, { recursive: true, maxRetries: 20 })
    await Promise.allSettled([starting, world.daemon.stop()])
    expect(await survivors(HOSTILE_UIDS)).toEqual([])
  }, 60_000)

  it('leads no deletion of a volume out of it by a link', async () => {
    const { target, damage } = makeTarget()
    try {
      for (let round = 1; round <= 10; round++) {
        const name = `volume-i2-${round}`
        await world.daemon.handlers.create_volume(volumeOf(name), undefined)
        makeBait(volumeDir(world.config.dataDir, name), target, HOSTILE_UIDS + round)
        await runAs(HOSTILE_UIDS + round, volumeDir(world.config.dataDir, name), SWAP)
        // Whether it succeeds is not the point here.
        await world.daemon.handlers.delete_volume(part(name), undefined).catch(() => undefined)
        endAllOf(HOSTILE_UIDS + round)
      }
      expect(damage()).toEqual([])
    } finally {
      rmSync(target, { recursive: true })
    }
  }, 60_000)

  it('leads no reboot out of its folder by a link', async () => {
    const { target, damage } = makeTarget()
    try {
      const mark = join(world.config.dataDir, 'servers', server.name, 'stopped')
      for (let round = 1; round <= 5; round++) {
        mkdirSync(mark)
        makeBait(mark, target, HOSTILE_UIDS)
        await runAs(HOSTILE_UIDS, mark, `for (1..2) { last unless fork } ${SWAP}`)
        const change = { ...part(server.name), changeId: `r${round}` }
        await world.daemon.handlers.reboot_server(change, undefined).catch(() => undefined)
        endAllOf(HOSTILE_UIDS)
        rmSync(mark, { recursive: true, force: true })
      }
      expect(damage()).toEqual([])
    } finally {
      rmSync(target, { recursive: true })
    }
  }, 60_000)
})
