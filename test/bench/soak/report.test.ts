import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Journal } from '../../../bench/soak/journal.ts'
import { countErrors, outputProblems, reportText, unexpectedLines, writeReport } from '../../../bench/soak/report.ts'

const SUMMARY = {
  ...{ seed: 7, minutes: 1, starts: 3, instances: 9, settledSeconds: 4, logins: 11 },
  records: [['audit', 5]] as [string, number][],
  operations: [['restart DONE', 2]] as [string, number][],
}

describe('the report of a soak', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'coffer-test-'))
  })
  afterEach(() => {
    expect(basename(folder)).toMatch(/^coffer-test-.+/)
    rmSync(folder, { recursive: true })
  })

  it('has the seed, kills by kind, actions by status and what is wrong', () => {
    const journal = new Journal(folder)
    journal.kill({ at: 1, kind: 'agent', pid: 7 })
    journal.kill({ at: 2, kind: 'host', pid: 8 })
    journal.kill({ at: 3, kind: 'agent', pid: 9 })
    journal.exchange({ action: 'restart', method: 'POST', path: '/x', from: 1, to: 2, status: 202 }, false)
    journal.problem('a quota is wrong')
    const text = reportText(journal, SUMMARY, [['it failed', 2]])
    for (const words of ['seed 7', 'kills: 3 (agent 2, host 1)', '1  restart 202', '2  it failed', '5  audit']) {
      expect(text).toContain(words)
    }
    expect(text).toMatch(/problems:\n {2}a quota is wrong\n$/)
    writeReport(folder, text, journal, SUMMARY)
    expect(readFileSync(join(folder, 'report.txt'), 'utf8')).toBe(text)
    expect(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')).problems).toEqual(['a quota is wrong'])
  })

  it('has no section of problems if there are none', () => {
    expect(reportText(new Journal(folder), SUMMARY, [])).not.toContain('problems')
  })

  it('has what a control plane said of unexpected failures, and nothing else of it', () => {
    const failed = '{"level":"error","msg":"request failed"}'
    writeFileSync(join(folder, 'control-2.log'), `{"level":"info","msg":"request"}\n${failed}\n`)
    expect(outputProblems(folder)).toEqual([`control-2.log: ${failed}`])
    expect(unexpectedLines('{"level":"info","msg":"saga step failed"}')).toEqual([])
  })

  it('counts the errors of the logs', () => {
    const line = (level: string, text: string) => `{"level":"${level}","time":1,"msg":"${text}"}`
    const texts = [`${line('error', 'a')}\n${line('warn', 'b')}`, `${line('error', 'c')}\n${line('error', 'a')}`]
    expect(countErrors(texts)).toEqual([
      ['a', 2],
      ['c', 1],
    ])
  })
})
