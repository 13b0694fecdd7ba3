import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { realClock } from '../kit/virtual-clock.ts'
import { type DaemonWorld, daemonWorld, part, server, volume } from './daemon-world.ts'
import { endAllOf, HOSTILE_UIDS, pidsOf, whyNot } from './hostile.ts'

// Without root nothing of this can be done.
const asRoot = whyNot === undefined ? describe : describe.skip

asRoot('a program of an instance (as root, with perl)', () => {
  let world: DaemonWorld
  beforeEach(async () => {
    world = await daemonWorld({ firstUid: HOSTILE_UIDS })
    await world.daemon.handlers.create_volume(volume, undefined)
  })
  afterEach(async () => {
    endAllOf(HOSTILE_UIDS)
    await world.remove()
  }, 60_000)

  /** The control groups of the uid. */
  function groups(): string[] {
    const parents = ['', 'pids', 'cpu', 'memory', 'unified'].map(name => join('/sys/fs/cgroup', name, 'coffer'))
    const paths = parents.filter(existsSync).flatMap(path => readdirSync(path).map(name => join(path, name)))
    return paths.filter(path => path.endsWith(`.${HOSTILE_UIDS}`))
  }

  /** What a program of perl prints that runs where the agent does. */
  async function outputOf(program: string): Promise<string> {
    const agent = `import { spawnSync } from 'node:child_process'
      import { renameSync, writeFileSync } from 'node:fs'
      const { stdout } = spawnSync('perl', ['-e', ${JSON.stringify(program)}], { encoding: 'utf8' })
      writeFileSync('draft', stdout)
      renameSync('draft', 'output')
      setInterval(() => {}, 1_000)`
    writeFileSync(join(world.config.dataDir, '..', 'agent.mjs'), agent)
    await world.daemon.handlers.create_server(server, undefined)
    const path = join(world.config.dataDir, 'servers', server.name, 'output')
    while (!existsSync(path)) await realClock.sleep(20)
    return readFileSync(path, 'utf8')
  }

  it('can start no more than some hundred others', async () => {
    // They hold no pipe: its output ends with the first.
    const program = `$| = 1; for (1..3000) { my $pid = fork; last unless defined $pid;
      if (!$pid) { close STDOUT; close STDERR; sleep 60; exit } $n++ } print $n`
    const started = Number(await outputOf(program))
    expect(started).toBeGreaterThan(100)
    expect(started).toBeLessThan(1_000)
    await world.daemon.handlers.delete_server(part(server.name), undefined)
    expect(pidsOf(HOSTILE_UIDS)).toEqual([])
  }, 60_000)

  it('sees no process of another uid', async () => {
    const output = await outputOf(`opendir my $dir, '/proc';
      print join ' ', grep { (stat "/proc/$_")[4] != $< } grep /^[0-9]+$/, readdir $dir`)
    expect(output).toBe('')
  }, 60_000)

  it('may use more as soon as its flavor is larger, and not less before its agent starts next', async () => {
    await outputOf('print 1')
    const group = groups().find(path => existsSync(join(path, 'pids.max')))
    // Without control groups a limit of the agent's process is raised.
    const bound = async () =>
      group === undefined
        ? /^Max processes +(\d+)/m.exec(readFileSync(`/proc/${await world.agentOf(server.name)}/limits`, 'utf8'))?.[1]
        : readFileSync(join(group, 'pids.max'), 'utf8').trim()
    const change = (changeId: string, ramMb: number) =>
      world.daemon.handlers.change_server({ ...part(server.name), changeId, flavor: { ramMb, vcpus: 1 } }, undefined)
    expect(await bound()).toBe('576')
    await change('c1', 1_024)
    expect(await bound()).toBe('640')
    await change('c2', 512)
    expect(await bound()).toBe('640')
    await world.daemon.handlers.reboot_server({ ...part(server.name), changeId: 'c3' }, undefined)
    expect(await bound()).toBe('576')
  }, 60_000)

  it('is in no control group that stays when its server is deleted', async () => {
    await outputOf('print 1')
    await world.daemon.handlers.delete_server(part(server.name), undefined)
    expect(groups()).toEqual([])
  }, 60_000)
})
