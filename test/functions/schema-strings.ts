import { z } from 'zod'

type Schema = z.core.$ZodType

/** A place for a text in the bodies of a schema: where it is, and the otherwise valid body with a text there. */
export interface Place {
  path: string
  fill(text: string): unknown
}

const TEXTS = ['abc1', '1', 'true', '00000000-0000-4000-8000-000000000001', '10.0.0.1', '10.0.0.0/8']

/** Every place of a schema in which a string may be, the keys of records included. */
export function placesOf(schema: Schema, path = 'body'): Place[] {
  if (schema instanceof z.core.$ZodString) return [{ path, fill: text => text }]
  if (schema instanceof z.core.$ZodUnion) return schema._zod.def.options.flatMap(option => placesOf(option, path))
  if (schema instanceof z.core.$ZodArray) {
    return within(placesOf(schema._zod.def.element, `${path}[]`), value => [value])
  }
  if (schema instanceof z.core.$ZodObject) {
    const { shape } = schema._zod.def
    const places = Object.entries(shape).flatMap(([key, part]) =>
      within(placesOf(part, `${path}.${key}`), value => ({ ...sampleOfObject(shape), [key]: value })),
    )
    return [...places, { path: `${path}.?`, fill: text => ({ ...sampleOfObject(shape), [text]: text }) }]
  }
  if (schema instanceof z.core.$ZodRecord) {
    const values = within(placesOf(schema._zod.def.valueType, `${path}.*`), value => ({ abc1: value }))
    return [...values, { path: `${path}.?`, fill: text => ({ [text]: text }) }]
  }
  // Anything may be there, so a text may.
  if (schema instanceof z.core.$ZodUnknown) return [{ path, fill: text => text }]
  const inner = innerOf(schema)
  return inner ? placesOf(inner, path) : []
}

const within = (places: Place[], wrap: (value: unknown) => unknown): Place[] =>
  places.map(({ path, fill }) => ({ path, fill: text => wrap(fill(text)) }))

const sampleOfObject = (shape: Record<string, Schema>) =>
  Object.fromEntries(
    Object.entries(shape)
      .filter(([, part]) => !z.safeParse(part, undefined).success)
      .map(([key, part]) => [key, sampleOf(part)]),
  )

/** A value that the schema accepts, with no more than it requires. */
function sampleOf(schema: Schema): unknown {
  const simple = [...TEXTS, 1, true, null, {}].find(value => z.safeParse(schema, value).success)
  if (simple !== undefined) return simple
  if (schema instanceof z.core.$ZodUnion) return sampleOf(schema._zod.def.options[0]!)
  if (schema instanceof z.core.$ZodArray) return [sampleOf(schema._zod.def.element)]
  if (schema instanceof z.core.$ZodObject) return sampleOfObject(schema._zod.def.shape)
  if (schema instanceof z.core.$ZodEnum || schema instanceof z.core.$ZodLiteral) return [...schema._zod.values][0]
  const inner = innerOf(schema)
  return inner && sampleOf(inner)
}

/** The schema inside a wrapper such as `optional`. */
export function innerOf(schema: Schema): Schema | undefined {
  if (schema instanceof z.core.$ZodPipe) {
    return schema._zod.def.in instanceof z.core.$ZodTransform ? schema._zod.def.out : schema._zod.def.in
  }
  if (schema instanceof z.core.$ZodLazy) return schema._zod.innerType
  const { def } = schema._zod
  return 'innerType' in def ? (def.innerType as Schema) : undefined
}

/** Texts of that many characters that make a careless pattern try again at each of them. */
export const floods = (length: number): [shape: string, text: string][] =>
  Object.entries({
    letters: 'a'.repeat(length),
    'letters and a line break': `${'a'.repeat(length - 1)}\n`,
    'blanks between letters': `a${' '.repeat(length - 2)}b`,
    'blanks and two words': `${' '.repeat(length - 3)}x y`,
    'digits and a letter': `${'1'.repeat(length - 1)}x`,
    'numbers with dots': `${'1.'.repeat(length / 2 - 1)}xx`,
    quotes: '"\''.repeat(length / 2),
    backslashes: '\\'.repeat(length / 2),
    'line breaks': '\n'.repeat(length / 2),
    'hyphens and zeros': '0-'.repeat(length / 2),
    slashes: '/a'.repeat(length / 2),
    'letters beyond ASCII': 'é'.repeat(length / 2),
    'characters of two units': '🐍'.repeat(length / 4),
    'half surrogate pairs': '\ud800'.repeat(length / 8),
  })
