import type { Json } from '../lib/openapi/shape.ts'

/** The pages that are made from the routes: `docs/openapi.json` and `docs/reference.md` (test/openapi/golden.test.ts). */

interface Operation {
  operationId: string
  summary: string
  description?: string
  tags: string[]
  parameters: Json[]
  requestBody?: { required: boolean; content: Record<string, { schema?: Json; example?: unknown }> }
  responses: Record<string, { $ref?: string; content?: Record<string, { schema?: Json }> }>
}

/** What a reader sees of the document: every operation by noun, then the shapes they share. */
export function reference(document: Json): string {
  const paths = document['paths'] as Record<string, Record<string, Operation>>
  const { schemas, responses } = document['components'] as Record<string, Record<string, Json>>
  const all = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  )
  const nouns = Map.groupBy(all, ({ operation }) => operation.tags[0] ?? '')
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
    ...sections.flatMap(([noun, operations]) => [`## ${noun}`, '', ...operations.flatMap(told)]),
    '## Shapes',
    '',
    ...Object.entries(schemas ?? {}).flatMap(([name, schema]) => [
      `### ${name}`,
      '',
      ...about(schema),
      ...code(typed(schema)),
    ]),
    '## Refusals',
    '',
    ...Object.entries(responses ?? {}).map(([status, { description }]) => `- **${status}** ${description}`),
    '',
  ].join('\n')
}

const about = ({ description }: Json) => (description === undefined ? [] : [String(description), ''])
const code = (text: string) => ['```ts', text, '```', '']

function told({ method, path, operation }: { method: string; path: string; operation: Operation }): string[] {
  const { summary, description, requestBody, responses, parameters } = operation
  const body = requestBody?.content['application/json']
  const refused = Object.entries(responses).filter(([, { $ref }]) => $ref !== undefined)
  return [
    `### ${summary}`,
    '',
    `\`${method} ${path}\`${description ? ` — ${description.toLowerCase()}` : ''}`,
    '',
    ...parameters.flatMap(queried),
    ...(parameters.some(({ in: where }) => where === 'query') ? [''] : []),
    ...(body?.schema ? [requestBody?.required ? 'Takes' : 'May take', '', ...code(typed(body.schema))] : []),
    ...(body?.example === undefined ? [] : ['such as', '', '```json', JSON.stringify(body.example), '```', '']),
    ...Object.entries(responses).flatMap(answered),
    `Refused with ${refused.map(([status]) => status).join(', ')}.`,
    '',
  ]
}

function queried({ name, in: where, description, schema }: Json): string[] {
  return where === 'query' ? [`- \`${name}\` (${typed(schema as Json)}) ${description ?? ''}`.trim()] : []
}

function answered([status, { $ref, content }]: [string, Operation['responses'][string]]): string[] {
  if ($ref !== undefined) return []
  const [type, media] = Object.entries(content ?? {})[0] ?? []
  if (!media?.schema) return [`Answers ${status}, without a body.`, '']
  const form = type === 'application/json' ? '' : `, as \`${type}\``
  return [`Answers ${status}${form}`, '', ...code(typed(media.schema))]
}

/** A schema as a type, on as many lines as its fields need. */
function typed(schema: Json, indent = ''): string {
  const { $ref, type, enum: words, const: only, properties, items, anyOf, additionalProperties } = schema
  if (typeof $ref === 'string') return $ref.split('/').at(-1) ?? ''
  if (only !== undefined) return JSON.stringify(only)
  if (Array.isArray(words)) return words.map(word => JSON.stringify(word)).join(' | ')
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map(form => typed(form, indent)))].join(' | ')
  if (type === 'array') {
    const inner = typed(items as Json, indent)
    return inner.includes(' | ') ? `(${inner})[]` : `${inner}[]`
  }
  if (properties !== undefined) return objectOf(schema, indent)
  if (type === 'object' && typeof additionalProperties === 'object') {
    return `{ [name]: ${typed(additionalProperties as Json, indent)} }`
  }
  return Array.isArray(type) ? type.join(' | ') : String(type ?? 'any').replace('object', '{}')
}

function objectOf({ properties, required = [] }: Json, indent: string): string {
  const deeper = `${indent}  `
  const lines = Object.entries(properties as Record<string, Json>).map(([name, schema]) => {
    const mark = (required as string[]).includes(name) ? '' : '?'
    const note = schema['description'] === undefined ? '' : `  // ${schema['description']}`
    return `${deeper}${/^\w+$/.test(name) ? name : `'${name}'`}${mark}: ${typed(schema, deeper)}${note}`
  })
  return lines.length === 0 ? '{}' : `{\n${lines.join('\n')}\n${indent}}`
}
