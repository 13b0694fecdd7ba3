import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Cgroups, RESOURCES } from '../../host/cgroups.ts'

const bounds = { memoryMb: 700, processes: 600, vcpus: 2 }

/** A stand-in for the kernel's tree: files in it take what is written, and nothing happens. */
let base: string
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'coffer-cgroups-'))
})
afterEach(() => rmSync(base, { recursive: true }))

function write(path: string, text: string): void {
  mkdirSync(dirname(join(base, path)), { recursive: true })
  writeFileSync(join(base, path), text)
}
const read = (path: string) => readFileSync(join(base, path), 'utf8')
function open(self: string): Promise<Cgroups> {
  writeFileSync(join(base, 'self'), self)
  return Cgroups.open({ root: join(base, 'tree'), self: join(base, 'self') })
}
const versions = (cgroups: Cgroups) => RESOURCES.map(resource => cgroups.versionOf(resource))

describe('control groups of version 2', () => {
  const parent = 'tree/system.slice/coffer'
  beforeEach(() => {
    write('tree/cgroup.controllers', 'cpu memory pids')
    write('tree/system.slice/cgroup.subtree_control', '')
  })

  it('are made beside the daemon’s own group, which has processes', async () => {
    const cgroups = await open('0::/system.slice/coffer.service\n')
    expect(existsSync(join(base, parent))).toBe(true)
    expect(read('tree/system.slice/cgroup.subtree_control')).toMatch(/^\+(memory|pids|cpu)$/)
    expect(cgroups.endsAll).toBe(true)
  })

  it('without controllers still end all processes at once', async () => {
    // Nothing can be written to a folder, as the kernel refuses a controller that is not there.
    mkdirSync(join(base, parent, 'cgroup.subtree_control'), { recursive: true })
    const cgroups = await open('0::/system.slice/coffer.service\n')
    expect([versions(cgroups), cgroups.endsAll]).toEqual([[undefined, undefined, undefined], true])
    await cgroups.place('a', bounds, 4711)
    expect(read(`${parent}/a/cgroup.procs`)).toBe('4711')
    await cgroups.end('a')
    expect(read(`${parent}/a/cgroup.kill`)).toBe('1')
    await cgroups.end('missing')
  })

  it('bound memory, processes and cpu', async () => {
    const cgroups = await open('0::/system.slice/coffer.service\n')
    expect(versions(cgroups)).toEqual([2, 2, 2])
    await cgroups.place('a', bounds, 4711)
    const files = ['memory.max', 'pids.max', 'cpu.weight'].map(name => read(`${parent}/a/${name}`))
    expect(files).toEqual([String(700 * 2 ** 20), '600', '200'])
  })
})

describe('control groups of version 1', () => {
  beforeEach(() => {
    for (const controller of ['memory', 'pids', 'cpu']) write(`tree/${controller}/cgroup.procs`, '')
  })

  it('bound memory, processes and cpu', async () => {
    const cgroups = await open('3:memory:/\n2:pids:/\n1:cpu,cpuacct:/\n')
    expect([versions(cgroups), cgroups.endsAll]).toEqual([[1, 1, 1], false])
    await cgroups.place('a', bounds, 4711)
    const files = ['memory/coffer/a/memory.limit_in_bytes', 'pids/coffer/a/pids.max', 'cpu/coffer/a/cpu.shares']
    expect(files.map(name => read(`tree/${name}`))).toEqual([String(700 * 2 ** 20), '600', '2048'])
    expect(read('tree/memory/coffer/a/cgroup.procs')).toBe('4711')
    await cgroups.change('a', { ...bounds, processes: 700 })
    await cgroups.change('missing', bounds)
    expect(read('tree/pids/coffer/a/pids.max')).toBe('700')
    expect(readdirSync(join(base, 'tree', 'pids', 'coffer'))).toEqual(['a'])
  })

  it('are not used below a group of somebody else', async () => {
    const cgroups = await open('3:memory:/docker/1\n2:pids:/\n1:cpu:/user.slice\n')
    expect(versions(cgroups)).toEqual([undefined, 1, undefined])
    expect(existsSync(join(base, 'tree', 'memory', 'coffer'))).toBe(false)
  })

  it('without processes are removed', async () => {
    const cgroups = await open('2:pids:/\n')
    const parent = join(base, 'tree', 'pids', 'coffer')
    for (const name of ['a', 'b', 'c']) mkdirSync(join(parent, name))
    writeFileSync(join(parent, 'c', 'cgroup.procs'), '1')
    await cgroups.remove('a')
    expect(readdirSync(parent).sort()).toEqual(['b', 'c'])
    await cgroups.sweep()
    // The stand-in has files in a group that is in use; the kernel refuses that one as busy.
    expect(readdirSync(parent)).toEqual(['c'])
  })
})

describe('a machine without control groups', () => {
  it('bounds nothing, and goes on', async () => {
    const cgroups = await open('')
    expect([versions(cgroups), cgroups.endsAll]).toEqual([[undefined, undefined, undefined], false])
    await cgroups.place('a', bounds, 4711)
    await cgroups.end('a')
    await cgroups.remove('a')
    await cgroups.sweep()
  })

  it('with a tree that cannot be written does so too', async () => {
    write('tree/pids/cgroup.procs', '')
    // Nobody can make a folder below a file.
    write('tree/cgroup.controllers', 'pids')
    write('tree/system.slice', '')
    const cgroups = await open('2:pids:/\n0::/system.slice/coffer.service\n')
    expect([cgroups.versionOf('processes'), cgroups.endsAll]).toEqual([1, false])
  })
})

const asRoot = process.getuid?.() === 0 ? describe : describe.skip

// Without root there are no groups to enter.
asRoot('a control group (as root only)', () => {
  it('is entered although other daemons remove empty groups meanwhile', async () => {
    const [cgroups, others] = [await Cgroups.open(), await Cgroups.open()]
    if (cgroups.versionOf('processes') === undefined && !cgroups.endsAll) return
    const child = spawn('sleep', ['60'], { stdio: 'ignore' })
    await once(child, 'spawn')
    const name = `test-${process.pid}`
    const groupsOf = (pid: number) => readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n')
    let ended = false
    const sweeping = (async () => {
      while (!ended) await others.sweep()
    })()
    try {
      const entered: string[] = []
      for (let round = 0; round < 20; round++) {
        await cgroups.place(`${name}-${round}`, bounds, child.pid ?? 0)
        entered.push(groupsOf(child.pid ?? 0).find(line => line.endsWith(`/${name}-${round}`)) ?? 'none')
      }
      expect(entered).not.toContain('none')
    } finally {
      ended = true
      await sweeping
      child.kill('SIGKILL')
      await once(child, 'exit')
      for (let round = 0; round < 20; round++) await cgroups.remove(`${name}-${round}`)
    }
  })
})
