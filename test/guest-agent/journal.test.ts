import { appendFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { openJournal } from '../../guest-agent/journal.ts'

let dir: string
let path: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'coffer-journal-'))
  path = join(dir, 'journal')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

describe('the journal of an agent', () => {
  it('is empty at first, and knows after a restart which commands ended and how', async () => {
    const first = await openJournal(path)
    expect(first.last()).toBe(0)
    await first.add({ number: 1, result: null })
    await first.add({ number: 2, failed: { code: 404, message: 'no' } })
    const second = await openJournal(path)
    expect(second.last()).toBe(2)
    expect(second.find(1)).toEqual({ number: 1, result: null })
    expect(second.find(2)).toEqual({ number: 2, failed: { code: 404, message: 'no' } })
    expect(second.find(3)).toBeUndefined()
  })

  it.each(['{"number":2,"res', '{"number":2', '{', '\0\0\0\0'])('ignores a torn last line: %j', async torn => {
    await (await openJournal(path)).add({ number: 1, result: null })
    appendFileSync(path, torn)
    const after = await openJournal(path)
    expect(after.last()).toBe(1)
    // What is written next stands on a line of its own.
    await after.add({ number: 2, result: 'again' })
    expect((await openJournal(path)).find(2)).toEqual({ number: 2, result: 'again' })
  })

  it('knows after a restart which command is unfinished', async () => {
    const first = await openJournal(path)
    expect(first.isUnfinished(1)).toBe(false)
    await first.begin(1)
    const second = await openJournal(path)
    expect([second.isUnfinished(1), second.isUnfinished(2), second.last()]).toEqual([true, false, 0])
    await second.add({ number: 1, result: null })
    expect(second.isUnfinished(1)).toBe(false)
    expect((await openJournal(path)).isUnfinished(1)).toBe(false)
  })

  it('stores the latest ends only, in a file that does not grow', async () => {
    const first = await openJournal(path)
    for (let number = 1; number <= 450; number++) await first.add({ number, result: null })
    const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean)
    expect(lines.length).toBeLessThanOrEqual(400)
    const second = await openJournal(path)
    expect(second.last()).toBe(450)
    expect(second.find(300)).toEqual({ number: 300, result: null })
    expect(second.find(1)).toBeUndefined()
  })

  it('does not count a command as ended whose end could not be written', async () => {
    const full = await openJournal(path)
    // A device that is always full.
    symlinkSync('/dev/full', path)
    await expect(full.add({ number: 1, result: null })).rejects.toThrow('ENOSPC')
    expect(full.last()).toBe(0)
    rmSync(path)
    await full.add({ number: 1, result: null })
    expect(full.last()).toBe(1)
  })

  it('lets a command begin whose start could not be written: a delete may be what makes space', async () => {
    const full = await openJournal(path)
    symlinkSync('/dev/full', path)
    await full.begin(1)
    expect(full.isUnfinished(1)).toBe(true)
  })
})
