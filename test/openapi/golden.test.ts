import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { routes } from '../../functions/api.ts'
import { fullPath } from '../../lib/kit/http/route.ts'
import { buildDocument } from '../../lib/openapi/document.ts'
import type { Json } from '../../lib/openapi/shape.ts'
import { reference } from '../../scripts/reference.ts'

const DOCS = join(import.meta.dirname, '..', '..', 'docs')
const document: Json = { servers: [{ url: 'http://127.0.0.1:8779' }], ...buildDocument(routes) }

/** The text of a file of docs/. UPDATE_GOLDEN=1 writes `current` to it first. */
function goldenFile(name: string, current: string): string {
  const path = join(DOCS, name)
  if (process.env['UPDATE_GOLDEN'] || !existsSync(path)) writeFileSync(path, current)
  return readFileSync(path, 'utf8')
}

// biome-ignore lint/suspicious/noExplicitAny: the document is read as a client would
const paths = document['paths'] as Record<string, Record<string, any>>
const operations = Object.values(paths).flatMap(methods => Object.values(methods))

describe('the pages of the API', () => {
  it('have an openapi.json that equals the document of the routes', () => {
    expect(JSON.parse(goldenFile('openapi.json', `${JSON.stringify(document, null, 2)}\n`))).toEqual(
      JSON.parse(JSON.stringify(document)),
    )
  })

  it('have a reference.md that equals the rendered document', () => {
    const current = reference(document)
    expect(goldenFile('reference.md', current)).toBe(current)
  })
})

describe('the document', () => {
  it('has every route once, with a unique operation id', () => {
    expect(operations).toHaveLength(routes.length)
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(routes.length)
    for (const route of routes) expect(paths[fullPath(route)]?.[route.method.toLowerCase()]).toBeDefined()
  })

  it('names every variable of a path, and requires a token where the authorizer does', () => {
    for (const [path, methods] of Object.entries(paths)) {
      const variables = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      for (const { parameters, security } of Object.values(methods)) {
        const inPath = parameters.filter((parameter: { in?: string }) => parameter.in === 'path')
        expect(inPath.map(({ name }: { name: string }) => name)).toEqual(variables)
        expect(security).toEqual(path.startsWith('/v1.0/') ? [{ token: [] }] : undefined)
      }
    }
  })

  it('has only references that resolve', () => {
    const text = JSON.stringify(document)
    for (const [, path = ''] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      expect(path.split('/').reduce<unknown>((node, part) => Object(node)[part], document)).toBeDefined()
    }
    expect(text).not.toMatch(/\$defs|"secret":/)
  })

  it('has examples that fit their schemas', () => {
    const withExample = routes.filter(({ example }) => example !== undefined)
    expect(withExample.length).toBeGreaterThan(8)
    for (const { body, documentedBody, example, method, path } of withExample) {
      for (const schema of [body, documentedBody]) {
        expect([method, path, schema?.safeParse(example).error?.issues]).toEqual([method, path, undefined])
      }
    }
  })
})
