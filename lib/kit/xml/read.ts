import { z } from 'zod'
import { type Element, isBlank, parseDocument } from './document.ts'
import { BARE_ROOTS, LISTS } from './names.ts'

type Schema = z.core.$ZodType

/** The element from which a value was read. A schema that is chosen later can then read it again. */
const SOURCES = new WeakMap<object, Element>()

/**
 * A document as JSON: `{root: …}`, or the members of a root named `object`. Elements and attributes become keys, all
 * values are strings, and an empty element is `{}`. `coerce` converts the values to the types of a schema. Throws Fault
 * 400.
 *
 * @example
 * parseXml('<volume size="2"/>') // { volume: { size: '2' } }
 * coerce(z.object({ volume: z.object({ size: z.int() }) }), parseXml('<volume size="2"/>')) // { volume: { size: 2 } }
 */
export function parseXml(text: string): unknown {
  const root = parseDocument(text)
  return toValue(root.name === BARE_ROOTS ? root : { name: '', attributes: [], children: [root], text: '' })
}

/** Converts what was read from XML to the types of the schema. A value that is not from XML stays as it is. */
export function coerce(schema: Schema, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const source = SOURCES.get(value)
  if (source) return read(source, schema)
  if (!(schema instanceof z.core.$ZodObject)) return value
  // The value may be a plain object around parts from XML, such as an action whose schema is chosen by its name.
  const { shape } = schema._zod.def
  const fromXml = Object.entries(value).filter(([key, part]) => Object.hasOwn(shape, key) && isFromXml(part))
  if (fromXml.length === 0) return value
  const coerced = fromXml.map(([key, part]) => [key, coerce(shape[key] as Schema, part)])
  return { ...value, ...Object.fromEntries(coerced) }
}

const isFromXml = (value: unknown) => typeof value === 'object' && value !== null && SOURCES.has(value)

/** The value of an element without a schema. */
function toValue(element: Element): unknown {
  const { name, children, text } = element
  if (isLeaf(element) && !isBlank(text)) return text
  const isList = LISTS.includes(name) && element.attributes.length === 0
  const value = isList
    ? children.map(toValue)
    : groupMembers(membersOf(element).map(([key, part]) => [key, toValue(part)]))
  SOURCES.set(value, element)
  return value
}

const isLeaf = ({ attributes, children }: Element) => attributes.length === 0 && children.length === 0

/** Attributes and children by their keys. */
function membersOf({ attributes, children }: Element): [string, Element][] {
  const leaves = attributes.map(([name, text]) => ({ name, attributes: [], children: [], text }))
  return [...leaves, ...children].map(element => [element.name, element])
}

/** An object of the members. A repeated key gets a list of its values, which a schema for a single value refuses. */
function groupMembers(members: [string, unknown][]): Record<string, unknown> {
  const byKey = Map.groupBy(members, ([key]) => key)
  return Object.fromEntries(
    [...byKey].map(([key, group]) => {
      const values = group.map(([, value]) => value)
      return [key, values.length === 1 ? values[0] : values]
    }),
  )
}

/**
 * The value of an element in the types of a schema. A value that does not fit stays as it is, for the schema to refuse.
 */
function read(element: Element, schema: Schema): unknown {
  const { children, text } = element
  if (schema instanceof z.core.$ZodUnion) return readUnion(element, schema)
  if (schema instanceof z.core.$ZodNullable && isLeaf(element) && text === 'None') return null
  const inner = innerOf(schema)
  if (inner) return read(element, inner)
  if (isLeaf(element) && !isBlank(text)) return scalar(text, schema)
  if (schema instanceof z.core.$ZodArray) {
    return element.attributes.length > 0
      ? toValue(element)
      : children.map(child => read(child, schema._zod.def.element))
  }
  if (schema instanceof z.core.$ZodObject) {
    const { shape, catchall } = schema._zod.def
    return readMembers(element, key => (Object.hasOwn(shape, key) ? shape[key] : catchall))
  }
  if (schema instanceof z.core.$ZodRecord) return readMembers(element, () => schema._zod.def.valueType)
  if (schema instanceof z.core.$ZodUnknown || schema instanceof z.core.$ZodAny) return toValue(element)
  return isLeaf(element) ? scalar(text, schema) : toValue(element)
}

function readMembers(element: Element, schemaOf: (key: string) => Schema | undefined): Record<string, unknown> {
  return groupMembers(
    membersOf(element).map(([key, part]) => {
      const schema = schemaOf(key)
      return [key, schema ? read(part, schema) : toValue(part)]
    }),
  )
}

/** The value by the first option that accepts it, or else by the first option. */
function readUnion(element: Element, { _zod }: z.core.$ZodUnion): unknown {
  const candidates = _zod.def.options.map(option => ({ option, value: read(element, option) }))
  return (candidates.find(({ option, value }) => z.safeParse(option, value).success) ?? candidates[0])?.value
}

/** The schema inside a wrapper such as `optional`. For a pipe, the side that receives the input. */
function innerOf(schema: Schema): Schema | undefined {
  if (schema instanceof z.core.$ZodPipe) {
    return schema._zod.def.in instanceof z.core.$ZodTransform ? schema._zod.def.out : schema._zod.def.in
  }
  if (schema instanceof z.core.$ZodLazy) return schema._zod.innerType
  const { def } = schema._zod
  return 'innerType' in def ? (def.innerType as Schema) : undefined
}

const NUMBER = /^[ \t\n]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t\n]*$/
const parseBooleanText = (text: string) => (/^[ \t\n]*(true|false)[ \t\n]*$/i.test(text) ? /true/i.test(text) : text)

function scalar(text: string, schema: Schema): unknown {
  if (schema instanceof z.core.$ZodNumber) return parseNumberText(text)
  if (schema instanceof z.core.$ZodBoolean) return parseBooleanText(text)
  if (schema instanceof z.core.$ZodNull) return text === 'None' ? null : text
  if (schema instanceof z.core.$ZodLiteral || schema instanceof z.core.$ZodEnum) return enumValue(text, schema)
  return text
}

const parseNumberText = (text: string) => (NUMBER.test(text) ? Number(text) : text)

/** The literal or enum value that the text spells; the text itself if there is none. */
function enumValue(text: string, { _zod }: z.core.$ZodLiteral | z.core.$ZodEnum): unknown {
  const values: unknown[] = [..._zod.values]
  const readings = [text, parseNumberText(text), parseBooleanText(text), text === 'None' ? null : text]
  return readings.find(reading => values.includes(reading)) ?? text
}
