import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { routes } from '../../functions/api.ts'
import { type Coffer, createInstance, request, type Session, startCoffer, wipe } from '../e2e/coffer.ts'
import { PROGRAMS } from './clients.ts'

let coffer: Coffer
let admin: Session
beforeAll(async () => {
  coffer = await startCoffer()
  admin = await coffer.login('openrc-admin')
})
afterAll(async () => {
  await coffer?.stop()
  if (coffer) await wipe(coffer.dataDir)
})

/** Runs a program; returns its exit code and what it printed. */
async function runProgram(program: string, args: string[], timeout: number): Promise<[number, string]> {
  try {
    const { stdout, stderr } = await promisify(execFile)(join(PROGRAMS, program), args, {
      cwd: coffer.dataDir,
      timeout,
      maxBuffer: 64 * 1024 * 1024,
    })
    return [0, stdout + stderr]
  } catch (error) {
    const { code, stdout = '', stderr = '' } = error as { code?: number; stdout?: string; stderr?: string }
    return [Number(code ?? -1), stdout + stderr]
  }
}

/** A few requests for each operation, with values that its schema allows and some that it does not. */
const config = (serving: string, spare: string) => `
headers = { "X-Auth-Token" = "${admin.token}" }
continue-on-failure = true
generation.max-examples = 3
generation.no-shrink = true
generation.with-security-parameters = false
phases.coverage.unexpected-methods = []
phases.stateful.enabled = false
checks.enabled = false
checks.not_a_server_error.enabled = true
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "501"]
checks.status_code_conformance.enabled = true
checks.content_type_conformance.enabled = true
checks.response_schema_conformance.enabled = true

[parameters]
"path.project_id" = "${admin.project}"

# Operations that read an instance or work in its database.
[[operations]]
include-path-regex = "/instances/.id./(users|databases|ssl|operations|configuration)"
parameters = { "path.project_id" = "${admin.project}", "path.id" = "${serving}" }

# Operations that may end an instance.
[[operations]]
include-path-regex = "/instances/.id.($|/(root|hwinfo|diagnostics|rpc_ping|action)$)"
parameters = { "path.project_id" = "${admin.project}", "path.id" = "${spare}" }
`

describe('openapi.json', () => {
  it('is valid OpenAPI 3.1, with the base URL of the request', async () => {
    const { status, headers, text, body } = await request('GET', `${coffer.base}/openapi.json`)
    expect([status, headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(body.servers).toEqual([{ url: coffer.base }])
    const file = join(coffer.dataDir, 'openapi.json')
    writeFileSync(file, text)
    expect(await runProgram('openapi-spec-validator', [file], 60_000)).toEqual([0, expect.stringContaining('OK')])
    writeFileSync(file, text.replace('"operationId"', '"operation"'))
    expect((await runProgram('openapi-spec-validator', [file], 60_000))[0]).not.toBe(0)
  })

  it('describes what schemathesis gets from every operation', async () => {
    const names = { databases: [{ name: 'cart' }], users: [{ name: 'ann', password: 'secret1' }] }
    const [serving, spare] = [await createInstance(admin, names), await createInstance(admin, names)]
    const file = join(coffer.dataDir, 'schemathesis.toml')
    writeFileSync(file, config(serving.id, spare.id))
    const args = ['--no-color', '--config-file', file, 'run', `${coffer.base}/openapi.json`, '--seed', '1']
    // One worker: with several, Python's parser sometimes fails in their threads.
    const [code, output] = await runProgram('schemathesis', [...args, '--workers', '1'], 600_000)
    expect(code === 0 ? '' : output).toBe('')
    // Every operation that it found; it counts one less than there are routes.
    const [, selected, total] = /Operations: +(\d+) selected \/ (\d+) total/.exec(output) ?? []
    expect(selected).toBe(total)
    expect(Number(total)).toBeGreaterThanOrEqual(routes.length - 1)
  }, 660_000)
})
