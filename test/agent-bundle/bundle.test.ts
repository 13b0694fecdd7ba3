import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { bundleAgent, bundleAgentSqs } from '../../agent-bundle/bundle.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coffer-bundle-'))
  await bundleAgent(join(folder, 'guest-agent.mjs'))
  await bundleAgentSqs(folder)
})
afterAll(() => rm(folder, { recursive: true }))

describe("the agent's bundle", () => {
  it('contains no AWS SDK, and imports a second file that does', async () => {
    const agent = await readFile(join(folder, 'guest-agent.mjs'), 'utf8')
    expect(agent).not.toMatch(/amazonaws|AmazonSQS/)
    const [, file] = /import\("\.\/([\w-]+\.mjs)"\)/.exec(agent) ?? []
    const sqs = await readFile(join(folder, file!), 'utf8')
    expect(sqs).toMatch(/AmazonSQS/)
    expect(sqs).toMatch(/as agentSqs/)
    expect((await stat(join(folder, file!))).size).toBeLessThan(1_000_000)
  })
})
