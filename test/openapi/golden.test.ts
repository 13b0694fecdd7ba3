import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { routes } from '../../functions/api.ts'
import { wholePath } from '../../lib/kit/http/route.ts'
import { documentOf } from '../../lib/openapi/document.ts'
import type { Json } from '../../lib/openapi/shape.ts'
import { reference } from '../../scripts/reference.ts'

const DOCS = join(import.meta.dirname, '..', '..', 'docs')
const document: Json = { servers: [{ url: 'http://127.0.0.1:8779' }], ...documentOf(routes) }

/** The file of docs/ as it is; UPDATE_GOLDEN=1 writes it anew. */
function kept(name: string, now: string): string {
  const path = join(DOCS, name)
  if (process.env['UPDATE_GOLDEN'] || !existsSync(path)) writeFileSync(path, now)
  return readFileSync(path, 'utf8')
}

// biome-ignore lint/suspicious/noExplicitAny: the document is read as a client would
const paths = document['paths'] as Record<string, Record<string, any>>
const operations = Object.values(paths).flatMap(methods => Object.values(methods))

describe('the pages of the API', () => {
  it('openapi.json is what the routes say', () => {
    expect(JSON.parse(kept('openapi.json', `${JSON.stringify(document, null, 2)}\n`))).toEqual(
      JSON.parse(JSON.stringify(document)),
    )
  })

  it('reference.md is what openapi.json says', () => {
    const now = reference(document)
    expect(kept('reference.md', now)).toBe(now)
  })
})

describe('the document', () => {
  it('has every route once, under an id of its own', () => {
    expect(operations).toHaveLength(routes.length)
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(routes.length)
    for (const route of routes) expect(paths[wholePath(route)]?.[route.method.toLowerCase()]).toBeDefined()
  })

  it('names every variable of a path, and asks for a token where the authorizer does', () => {
    for (const [path, methods] of Object.entries(paths)) {
      const variables = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      for (const { parameters, security } of Object.values(methods)) {
        const named = parameters.filter((one: { in?: string }) => one.in === 'path')
        expect(named.map(({ name }: { name: string }) => name)).toEqual(variables)
        expect(security).toEqual(path.startsWith('/v1.0/') ? [{ token: [] }] : undefined)
      }
    }
  })

  it('has references only to what is there', () => {
    const text = JSON.stringify(document)
    for (const [, path = ''] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      // biome-ignore lint/suspicious/noExplicitAny: a walk along the reference
      expect(path.split('/').reduce((at: any, part) => at?.[part], document)).toBeDefined()
    }
    expect(text).not.toMatch(/\$defs|"secret":/)
  })

  it('has examples that can be sent', () => {
    const shown = routes.filter(({ example }) => example !== undefined)
    expect(shown.length).toBeGreaterThan(8)
    for (const { body, shownBody, example, method, path } of shown) {
      for (const schema of [body, shownBody]) {
        expect([method, path, schema?.safeParse(example).error?.issues]).toEqual([method, path, undefined])
      }
    }
  })
})
