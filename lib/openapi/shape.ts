import { z } from 'zod'

/** A piece of the document. */
export type Json = Record<string, unknown>

/** Writes zod schemas as JSON Schema; those with an id go to the document's components, once. */
export interface Shapes {
  /** `input` = what may be sent, before it is transformed. */
  of(schema: z.ZodType, io: 'input' | 'output'): Json
  components: Json
}

const COMPONENTS = '#/components/schemas/'

export function shapes(): Shapes {
  const components: Json = {}
  return {
    components,
    of(schema, io) {
      const written = z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any', override })
      const { $schema: _, $defs = {}, id, ...shape } = relinked(written) as Json
      for (const [name, part] of Object.entries($defs as Json)) components[name] = withoutId(part as Json)
      if (typeof id !== 'string') return shape
      components[id] = shape
      return { $ref: `${COMPONENTS}${id}` }
    },
  }
}

const withoutId = ({ id: _, ...rest }: Json) => rest

/** Secrets are passwords to a reader; a bound that only says "a safe integer" says nothing. */
function override({ jsonSchema }: { jsonSchema: Json }): void {
  if (jsonSchema['secret']) {
    delete jsonSchema['secret']
    jsonSchema['format'] = 'password'
  }
  if (jsonSchema['maximum'] === Number.MAX_SAFE_INTEGER) delete jsonSchema['maximum']
  if (jsonSchema['minimum'] === Number.MIN_SAFE_INTEGER) delete jsonSchema['minimum']
}

/** With references into the document's components. */
function relinked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(relinked)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [
      key,
      key === '$ref' ? String(part).replace('#/$defs/', COMPONENTS) : relinked(part),
    ]),
  )
}
