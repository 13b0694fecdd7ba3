import { z } from 'zod'

/** A part of the document. */
export type Json = Record<string, unknown>

/** Converts zod schemas to JSON Schema. Those with an id are put into the document's components, once each. */
export interface ComponentSchemas {
  /** The JSON Schema, or a reference to the component. `input`: what a client may send, before it is transformed. */
  convert(schema: z.ZodType, io: 'input' | 'output'): Json
  components: Json
}

const COMPONENTS = '#/components/schemas/'

export function componentSchemas(): ComponentSchemas {
  const components: Json = {}
  return {
    components,
    convert(schema, io) {
      const jsonSchema = z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any', override })
      const { $schema: _, $defs = {}, id, ...shape } = rewriteRefs(jsonSchema) as Json
      for (const [name, part] of Object.entries($defs as Json)) components[name] = withoutId(part as Json)
      if (typeof id !== 'string') return shape
      components[id] = shape
      return { $ref: `${COMPONENTS}${id}` }
    },
  }
}

const withoutId = ({ id: _, ...rest }: Json) => rest

/** Documents secrets as passwords, and leaves out bounds that only say "a safe integer". */
function override({ jsonSchema }: { jsonSchema: Json }): void {
  if (jsonSchema['secret']) {
    delete jsonSchema['secret']
    jsonSchema['format'] = 'password'
  }
  if (jsonSchema['maximum'] === Number.MAX_SAFE_INTEGER) delete jsonSchema['maximum']
  if (jsonSchema['minimum'] === Number.MIN_SAFE_INTEGER) delete jsonSchema['minimum']
}

/** The same value with its references pointing to the document's components. */
function rewriteRefs(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rewriteRefs)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [
      key,
      key === '$ref' ? String(part).replace('#/$defs/', COMPONENTS) : rewriteRefs(part),
    ]),
  )
}
