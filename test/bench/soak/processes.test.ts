import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { killProcess, processesOf, victimsOf } from '../../../bench/soak/processes.ts'
import { isAlive, processRef } from '../../../lib/kit/os/process.ts'

const ID = '11111111-1111-1111-1111-111111111111'
const linux = process.platform === 'linux' ? describe : describe.skip

linux('processes of a data directory (Linux)', () => {
  let dataDir = ''
  const children: ChildProcess[] = []
  beforeEach(() => {
    dataDir = realpathSync(mkdtempSync(join(tmpdir(), 'coffer-test-')))
  })
  afterEach(async () => {
    for (const child of children.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    expect(basename(dataDir)).toMatch(/^coffer-test-.+/)
    rmSync(dataDir, { recursive: true })
  })

  /** A process that does nothing until its input ends, with these arguments. Resolves once it runs its program. */
  async function start(args: string[], cwd = tmpdir()): Promise<number> {
    const program = 'process.stdin.resume(); process.stdin.on("end", () => process.exit()); console.log("ready")'
    const child = spawn(process.execPath, ['-e', program, '--', ...args], { cwd, stdio: ['pipe', 'pipe', 'inherit'] })
    children.push(child)
    await once(child.stdout, 'data')
    return child.pid ?? 0
  }
  const pids = () => processesOf(dataDir).map(({ pid }) => pid)

  it('name it in their arguments or work in it', async () => {
    mkdirSync(join(dataDir, 'servers'))
    const named = await start([join(dataDir, 'host.json')])
    const inside = await start([], join(dataDir, 'servers'))
    await start([`${dataDir}-other/host.json`])
    expect(pids().sort()).toEqual([named, inside].sort())
  })

  it('are victims of the kinds that they are, and nothing else is', async () => {
    mkdirSync(join(dataDir, 'servers', `server-${ID}-1`), { recursive: true })
    const agent = await start(['guest-agent.mjs'], join(dataDir, 'servers', `server-${ID}-1`))
    const postmaster = await start(['/bin/postgres', '-D', join(dataDir, 'volumes', `volume-${ID}-2`, 'data')])
    const host = await start(['host/main.ts', join(dataDir, 'host.json')])
    await start([join(dataDir, 'spares', 'ready-1')])
    writeFileSync(join(dataDir, 'host.pid'), JSON.stringify({ pid: host }))
    const control = { pid: 4_000_000, started: '1' }
    const victims = victimsOf(dataDir, control).map(({ kind, process: { pid }, instance }) => [kind, pid, instance])
    expect(victims).toEqual([
      ['control', control.pid, undefined],
      ['host', host, undefined],
      ['agent', agent, ID],
      ['postmaster', postmaster, ID],
    ])
  })

  it('are killed only if they are the ones that were chosen', async () => {
    const pid = await start([join(dataDir, 'x')])
    const running = (await processRef(pid)) ?? { pid: 0, started: '' }
    expect(await killProcess({ pid, started: '1' })).toBe(false)
    expect(await killProcess({ ...running, pid: 1 })).toBe(false)
    expect(await killProcess({ ...running, pid: process.pid })).toBe(false)
    expect(await isAlive(running)).toBe(true)
    const [child] = children
    const ended = child && once(child, 'exit')
    expect(await killProcess(running)).toBe(true)
    expect(await ended).toEqual([null, 'SIGKILL'])
    expect(await killProcess(running)).toBe(false)
  })
})
