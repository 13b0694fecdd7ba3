import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { processRef } from '../../lib/kit/os/process.ts'
import { lock, parseProcessRef } from '../../local/data-dir.ts'

const TRIES = 60

let base: string
const started: ChildProcess[] = []
beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'coffer-lock-'))
})
afterAll(() => {
  for (const locker of started) locker.kill('SIGKILL')
  rmSync(base, { recursive: true })
})

function newFolder(name: string): string {
  mkdirSync(join(base, name))
  return join(base, name)
}

const holderIn = (folder: string) => parseProcessRef(readFileSync(join(folder, 'lock'), 'utf8'))?.pid

/** A process that locks a folder at the given time, as a start does: what it got is unlocked when it exits. */
function startLocker(): ChildProcess {
  const source = join(import.meta.dirname, '..', '..', 'local', 'data-dir.ts')
  const program = join(base, 'locker.mjs')
  writeFileSync(
    program,
    `import { lock } from ${JSON.stringify(source)}
    process.setMaxListeners(0)
    process.on('message', async ({ folder, time }) => {
      while (Date.now() < time);
      try {
        process.on('exit', await lock(folder))
        process.send('held')
      } catch (error) {
        process.send(String(error.message))
      }
    })
    process.send('ready')`,
  )
  const locker = fork(program, { execArgv: ['--disable-warning=ExperimentalWarning'], stdio: 'inherit' })
  started.push(locker)
  return locker
}

async function startLockers(count: number): Promise<ChildProcess[]> {
  const lockers = Array.from({ length: count }, startLocker)
  await Promise.all(lockers.map(locker => once(locker, 'message')))
  return lockers
}

/** What each got of a folder that they lock in the same instant. */
async function race(lockers: ChildProcess[], folder: string): Promise<string[]> {
  const time = Date.now() + 10
  const answers = lockers.map(async locker => String((await once(locker, 'message'))[0]))
  for (const locker of lockers) locker.send({ folder, time })
  return Promise.all(answers)
}

async function end(locker: ChildProcess | undefined): Promise<void> {
  if (!locker) return
  const exited = once(locker, 'exit')
  locker.disconnect()
  await exited
}

describe('the lock of a data directory', () => {
  it('is held by exactly one of two that start in the same instant, and names it', async () => {
    const lockers = await startLockers(2)
    for (let index = 0; index < TRIES; index++) {
      const folder = newFolder(`try-${index}`)
      const answers = await race(lockers, folder)
      expect([index, answers.toSorted()]).toEqual([
        index,
        ['held', expect.stringContaining('in use by another Coffer')],
      ])
      expect(holderIn(folder)).toBe(lockers[answers.indexOf('held')]?.pid)
    }
    await Promise.all(lockers.map(end))
  }, 30_000)

  it('is still held when the one that did not get it has exited, and free when its holder has', async () => {
    const folder = newFolder('exits')
    const lockers = await startLockers(2)
    const winner = (await race(lockers, folder)).indexOf('held')
    await end(lockers[1 - winner])
    expect(holderIn(folder)).toBe(lockers[winner]?.pid)
    await expect(lock(folder)).rejects.toThrow(`in use by another Coffer (pid ${lockers[winner]?.pid})`)
    await end(lockers[winner])
    expect(existsSync(join(folder, 'lock'))).toBe(false)
    const unlock = await lock(folder)
    await expect(lock(folder)).rejects.toThrow('in use by another Coffer')
    unlock()
  })

  it('is free at once when its holder was killed', async () => {
    const folder = newFolder('killed')
    const [locker] = await startLockers(1)
    if (!locker) throw new Error('none')
    expect(await race([locker], folder)).toEqual(['held'])
    const exited = once(locker, 'exit')
    locker.kill('SIGKILL')
    await exited
    ;(await lock(folder))()
  })

  it('respects a holder of a version that had no other lock, and is for its owner only', async () => {
    const folder = newFolder('earlier')
    writeFileSync(join(folder, 'lock'), JSON.stringify(await processRef(process.ppid)))
    await expect(lock(folder)).rejects.toThrow(`in use by another Coffer (pid ${process.ppid})`)
    rmSync(join(folder, 'lock'))
    const unlock = await lock(folder)
    for (const name of ['lock', 'lock.db'])
      expect([name, statSync(join(folder, name)).mode & 0o777]).toEqual([name, 0o600])
    unlock()
  })
})
