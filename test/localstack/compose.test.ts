import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { expect, it } from '@jest/globals'
import { z } from 'zod'

const FOLDER = join(import.meta.dirname, '..', '..', 'localstack')
const { load }: { load(text: string): unknown } = createRequire(import.meta.url)('js-yaml')

/** As much of the Compose specification as the file uses; anything else in it is an error. */
const Compose = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]*$/),
  services: z.record(
    z.string(),
    z.strictObject({
      image: z.string().regex(/^[\w./-]+:[\w.-]+$/),
      environment: z.record(z.string().regex(/^[A-Z_]+$/), z.string()),
      ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/)),
      volumes: z.array(z.string().regex(/^\/[^:]+:\/[^:]+(:ro)?$/)),
      healthcheck: z.strictObject({
        test: z.tuple([z.literal('CMD')], z.string()),
        interval: z.string().regex(/^\d+s$/),
        timeout: z.string().regex(/^\d+s$/),
        retries: z.int(),
      }),
    }),
  ),
})

it("LocalStack's compose file follows the Compose specification, and publishes ports on this machine only", () => {
  const { services } = Compose.parse(load(readFileSync(join(FOLDER, 'compose.yml'), 'utf8')))
  expect(Object.keys(services)).toEqual(['localstack'])
})

it("LocalStack's compose file starts every service that the template uses", () => {
  const [service] = Object.values(Compose.parse(load(readFileSync(join(FOLDER, 'compose.yml'), 'utf8'))).services)
  const started = service?.environment['SERVICES']?.split(',')
  const parts = ['queues', 'state', 'roles', 'gateway', 'alarms'].map(name =>
    join(FOLDER, '..', 'deploy', `${name}.yml`),
  )
  const types = parts.flatMap(path => [...readFileSync(path, 'utf8').matchAll(/Type: AWS::(\w+)::/g)])
  const used = types.map(([, type = '']) => type.toLowerCase())
  expect(new Set([...used, 'lambda', 'logs', 'events', 'ssm', 'sts', 'cloudformation'])).toEqual(new Set(started))
})
