import type { Json } from '../lib/openapi/shape.ts'

/**
 * Writes `docs/reference.md` from the OpenAPI document, which is made from the routes (test/openapi/golden.test.ts).
 */

interface Operation {
  operationId: string
  summary: string
  description?: string
  tags: string[]
  parameters: Json[]
  requestBody?: { required: boolean; content: Record<string, { schema?: Json; example?: unknown }> }
  responses: Record<string, { $ref?: string; content?: Record<string, { schema?: Json }> }>
}

/** The page in Markdown: every operation by noun, then the schemas that they share, then the errors. */
export function reference(document: Json): string {
  const paths = document['paths'] as Record<string, Record<string, Operation>>
  const { schemas, responses } = document['components'] as Record<string, Record<string, Json>>
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
  const nouns = Map.groupBy(operations, ({ operation }) => operation.tags[0] ?? '')
  const sections = [...nouns].sort(([a], [b]) => (a < b ? -1 : 1))
  return [
    '# The API',
    '',
    'Made from the routes, as [openapi.json](openapi.json) is, which a running Coffer serves at `/openapi.json`. Do not edit.',
    '',
    ...String((document['info'] as Json)['description']).split('\n'),
    '',
    'Every POST, PUT, PATCH and DELETE takes `dry_run=true`; POST and PATCH also take a header `Idempotency-Key`.',
    '`?` marks what may be left out.',
    '',
    ...sections.flatMap(([noun, operations]) => [`## ${noun}`, '', ...operations.flatMap(operationLines)]),
    '## Shapes',
    '',
    ...Object.entries(schemas ?? {}).flatMap(([name, schema]) => [
      `### ${name}`,
      '',
      ...descriptionOf(schema),
      ...code(typeText(schema)),
    ]),
    '## Refusals',
    '',
    ...Object.entries(responses ?? {}).map(([status, { description }]) => `- **${status}** ${description}`),
    '',
  ].join('\n')
}

const descriptionOf = ({ description }: Json) => (description === undefined ? [] : [String(description), ''])
const code = (text: string) => ['```ts', text, '```', '']

function operationLines({ method, path, operation }: { method: string; path: string; operation: Operation }): string[] {
  const { summary, description, requestBody, responses, parameters } = operation
  const body = requestBody?.content['application/json']
  const errors = Object.entries(responses).filter(([, { $ref }]) => $ref !== undefined)
  return [
    `### ${summary}`,
    '',
    `\`${method} ${path}\`${description ? ` — ${description.toLowerCase()}` : ''}`,
    '',
    ...parameters.flatMap(queryLines),
    ...(parameters.some(({ in: location }) => location === 'query') ? [''] : []),
    ...(body?.schema ? [requestBody?.required ? 'Takes' : 'May take', '', ...code(typeText(body.schema))] : []),
    ...(body?.example === undefined ? [] : ['such as', '', '```json', JSON.stringify(body.example), '```', '']),
    ...Object.entries(responses).flatMap(responseLines),
    `Refused with ${errors.map(([status]) => status).join(', ')}.`,
    '',
  ]
}

function queryLines({ name, in: location, description, schema }: Json): string[] {
  return location === 'query' ? [`- \`${name}\` (${typeText(schema as Json)}) ${description ?? ''}`.trim()] : []
}

function responseLines([status, { $ref, content }]: [string, Operation['responses'][string]]): string[] {
  if ($ref !== undefined) return []
  const [type, media] = Object.entries(content ?? {})[0] ?? []
  if (!media?.schema) return [`Answers ${status}, without a body.`, '']
  const mediaType = type === 'application/json' ? '' : `, as \`${type}\``
  return [`Answers ${status}${mediaType}`, '', ...code(typeText(media.schema))]
}

/** A schema as a TypeScript type, with a line for each field. */
function typeText(schema: Json, indent = ''): string {
  const { $ref, type, enum: values, const: constant, properties, items, anyOf, additionalProperties } = schema
  if (typeof $ref === 'string') return $ref.split('/').at(-1) ?? ''
  if (constant !== undefined) return JSON.stringify(constant)
  if (Array.isArray(values)) return values.map(value => JSON.stringify(value)).join(' | ')
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map(variant => typeText(variant, indent)))].join(' | ')
  if (type === 'array') {
    const inner = typeText(items as Json, indent)
    return inner.includes(' | ') ? `(${inner})[]` : `${inner}[]`
  }
  if (properties !== undefined) return objectText(schema, indent)
  if (type === 'object' && typeof additionalProperties === 'object') {
    return `{ [name]: ${typeText(additionalProperties as Json, indent)} }`
  }
  return Array.isArray(type) ? type.join(' | ') : String(type ?? 'any').replace('object', '{}')
}

function objectText({ properties, required = [] }: Json, indent: string): string {
  const deeper = `${indent}  `
  const lines = Object.entries(properties as Record<string, Json>).map(([name, schema]) => {
    const mark = (required as string[]).includes(name) ? '' : '?'
    const note = schema['description'] === undefined ? '' : `  // ${schema['description']}`
    return `${deeper}${/^\w+$/.test(name) ? name : `'${name}'`}${mark}: ${typeText(schema, deeper)}${note}`
  })
  return lines.length === 0 ? '{}' : `{\n${lines.join('\n')}\n${indent}}`
}
