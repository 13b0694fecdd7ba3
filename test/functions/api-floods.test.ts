import { cpuUsage } from 'node:process'
import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { routes } from '../../functions/api.ts'
import { handler as enrol } from '../../functions/enrol.ts'
import { EnrolRequest } from '../../lib/contracts/enrol.ts'
import { AuthRequest, CredentialRequest, PasswordRequest, parseRequest } from '../../lib/keystone/schemas.ts'
import { setPlatform } from '../../lib/wiring/current.ts'
import { contextOf, proxyEvent } from '../../local/gateway/events.ts'
import { sendRequest } from '../sim/api.ts'
import { World } from '../sim/world.ts'
import { floods, innerOf, type Place, placesOf } from './schema-strings.ts'

/** What a body of 1 MiB leaves for one text. */
const LARGEST = 1024 * 1024 - 4096
/**
 * A text of this size takes a second where the time is quadratic, and less than a millisecond where it is linear. So
 * a fault ends this test, which 1 MiB would hold for half an hour.
 */
const PROBE = 32 * 1024
const PROBE_MS = 150
/** The headers of a request have 16 KiB. */
const HEADER = 16_000
const HEADER_MS = 40
const LARGEST_MS = 1_000
/** The shapes of 1 MiB; all shapes are tried with less. */
const LARGE_SHAPES = [
  'letters and a line break',
  'blanks between letters',
  'digits and a letter',
  'quotes',
  'line breaks',
  'characters of two units',
]

/** Milliseconds of work of this process, the best of up to three tries: it is compared with what is far more. */
async function workMs(run: () => unknown, allowedMs: number): Promise<number> {
  let least = Infinity
  for (let tries = 0; tries < 3 && least > allowedMs; tries++) {
    const before = cpuUsage()
    await run()
    const { user, system } = cpuUsage(before)
    least = Math.min(least, (user + system) / 1_000)
  }
  return least
}

/** The places and shapes that take more work than a linear answer can. */
async function slowOnes(
  places: Place[],
  send: (body: unknown) => unknown,
  lengths: [characters: number, allowedMs: number][] = [
    [PROBE, PROBE_MS],
    [LARGEST, LARGEST_MS],
  ],
): Promise<string[]> {
  const slow: string[] = []
  for (const { path, fill } of places) {
    for (const [length, allowedMs] of lengths) {
      for (const [shape, text] of floods(length).filter(([name]) => length < LARGEST || LARGE_SHAPES.includes(name))) {
        if (slow.some(other => other.startsWith(`${path}:`))) continue
        const body = fill(text)
        const ms = await workMs(() => send(body), allowedMs)
        if (ms > allowedMs) slow.push(`${path}: ${length} characters (${shape}) take ${Math.round(ms)} ms`)
      }
    }
  }
  return slow
}

const withBodies = routes.flatMap(route => {
  const schema = route.documentedBody ?? route.body
  return schema ? [{ name: `${route.method} ${route.path}`, route, schema }] : []
})

describe('a text of 1 MiB in a request', () => {
  it.each(withBodies)('is answered in linear time in every place of $name', async ({ route, schema }) => {
    const world = await new World().open()
    const path = route.path.replaceAll(/\{\w+\}/g, '00000000-0000-4000-8000-000000000001')
    const send = async (body: unknown) => {
      const response = await sendRequest(world, { method: route.method, path, body, roles: 'admin' })
      expect(response?.status).toBeLessThan(500)
    }
    expect(await slowOnes(placesOf(schema), send)).toEqual([])
  })

  it('is answered in linear time in every place of POST /enrol', async () => {
    const world = await new World().open()
    setPlatform(world.platform)
    const send = (body: unknown) => {
      const request = { method: 'POST', path: '/enrol', search: '', headers: {}, remote: '127.0.0.9' }
      return enrol(proxyEvent({ ...request, body: JSON.stringify(body) }, undefined), contextOf('enrol', 29_000))
    }
    expect(await slowOnes(placesOf(EnrolRequest), send)).toEqual([])
  })

  it.each(Object.entries({ AuthRequest, CredentialRequest, PasswordRequest }))(
    'is refused or read in linear time in every place of Keystone’s %s',
    async (_name, schema) => {
      const read = (body: unknown) => {
        try {
          parseRequest(schema as z.ZodType, JSON.stringify(body))
        } catch {}
      }
      expect(await slowOnes(placesOf(schema), read)).toEqual([])
    },
  )

  it.each(['content-type', 'accept', 'idempotency-key', 'x-openstack-request-id', 'x-forwarded-proto', 'host'])(
    'is answered in linear time in the header %s, as far as 16 KiB hold it',
    async name => {
      const world = await new World().open()
      const prefixes = ['', 'application/xml;', 'application/xml; charset=', 'application/json;q=', '"']
      const places = prefixes.map(prefix => ({ path: `${name} ${prefix}`, fill: (text: string) => prefix + text }))
      const send = (value: unknown) =>
        sendRequest(world, { method: 'POST', path: '/instances', body: {}, headers: { [name]: String(value) } })
      expect(await slowOnes(places, send, [[HEADER, HEADER_MS]])).toEqual([])
    },
  )
})

/**
 * Strings that are looked at (by a pattern or a refinement) before, or even though, they are too long. Zod's own
 * formats are for the floods: their patterns match a few characters and end.
 */
function uncheckedLengths(schema: z.core.$ZodType, path = 'body'): string[] {
  if (schema instanceof z.core.$ZodUnion) return schema._zod.def.options.flatMap(each => uncheckedLengths(each, path))
  if (schema instanceof z.core.$ZodArray) return uncheckedLengths(schema._zod.def.element, `${path}[]`)
  if (schema instanceof z.core.$ZodRecord) return uncheckedLengths(schema._zod.def.valueType, `${path}.*`)
  if (schema instanceof z.core.$ZodObject) {
    return Object.entries(schema._zod.def.shape).flatMap(([key, part]) => uncheckedLengths(part, `${path}.${key}`))
  }
  const inner = innerOf(schema)
  if (inner) return uncheckedLengths(inner, path)
  if (!(schema instanceof z.core.$ZodString)) return []
  const checks = schema._zod.def.checks ?? []
  const looks = checks.findIndex(({ _zod }) => !['max_length', 'min_length'].includes(_zod.def.check))
  const bound = checks.findIndex(({ _zod: { def } }) => def.check === 'max_length' && def.abort === true)
  return looks >= 0 && (bound < 0 || bound > looks) ? [path] : []
}

describe('the schemas of requests', () => {
  it('look at no string before its length is checked', () => {
    const all = [
      ...withBodies.map(({ name, schema }) => [name, schema] as const),
      ...Object.entries({ AuthRequest, CredentialRequest, PasswordRequest, EnrolRequest }),
    ]
    expect(all.flatMap(([name, schema]) => uncheckedLengths(schema).map(path => `${name}: ${path}`))).toEqual([])
  })
})
