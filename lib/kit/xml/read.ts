import { z } from 'zod'
import { type Element, isBlank, parsed } from './document.ts'
import { BARE, LISTS } from './names.ts'

type Schema = z.core.$ZodType

/** What an object was read from, so that a schema which is known only later can read it again. */
const SOURCES = new WeakMap<object, Element>()

/**
 * A document as JSON: `{root: …}`, or the members of a root named `object`. Elements and attributes become keys, all
 * values strings, an empty element `{}`; `fitted` makes of it what a schema asks for. Throws 400.
 */
export function parseXml(text: string): unknown {
  const root = parsed(text)
  return plain(root.name === BARE ? root : { name: '', attributes: [], children: [root], text: '' })
}

/** The value as the schema's types need it, if it or its members come from a document; anything else as it is. */
export function fitted(schema: Schema, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const source = SOURCES.get(value)
  if (source) return read(source, schema)
  if (!(schema instanceof z.core.$ZodObject)) return value
  // Such as an action, whose body is checked once its name is known.
  const { shape } = schema._zod.def
  const late = Object.entries(value).filter(([key, part]) => Object.hasOwn(shape, key) && sourced(part))
  return late.length === 0
    ? value
    : { ...value, ...Object.fromEntries(late.map(([key, part]) => [key, fitted(shape[key] as Schema, part)])) }
}

const sourced = (value: unknown) => typeof value === 'object' && value !== null && SOURCES.has(value)

/** An element without a schema. */
function plain(element: Element): unknown {
  const { name, children, text } = element
  if (isLeaf(element) && !isBlank(text)) return text
  const isList = LISTS.includes(name) && element.attributes.length === 0
  const value = isList ? children.map(plain) : gathered(membersOf(element).map(([key, part]) => [key, plain(part)]))
  SOURCES.set(value, element)
  return value
}

const isLeaf = ({ attributes, children }: Element) => attributes.length === 0 && children.length === 0

/** Attributes and children by their keys. */
function membersOf({ attributes, children }: Element): [string, Element][] {
  const leaves = attributes.map(([name, text]) => ({ name, attributes: [], children: [], text }))
  return [...leaves, ...children].map(element => [element.name, element])
}

/** What is given twice becomes a list, which no schema takes for something that may be given once. */
function gathered(members: [string, unknown][]): Record<string, unknown> {
  const byKey = Map.groupBy(members, ([key]) => key)
  return Object.fromEntries(
    [...byKey].map(([key, [one, ...more]]) => [key, more.length === 0 ? one?.[1] : many(one, more)]),
  )
}
const many = (one: [string, unknown] | undefined, more: [string, unknown][]) => [
  one?.[1],
  ...more.map(([, part]) => part),
]

/** An element as a schema's types need it. What does not fit is left for the schema to refuse. */
function read(element: Element, schema: Schema): unknown {
  const { children, text } = element
  if (schema instanceof z.core.$ZodUnion) return readUnion(element, schema)
  if (schema instanceof z.core.$ZodNullable && isLeaf(element) && text === 'None') return null
  const inner = innerOf(schema)
  if (inner) return read(element, inner)
  if (isLeaf(element) && !isBlank(text)) return scalar(text, schema)
  if (schema instanceof z.core.$ZodArray) {
    return element.attributes.length > 0 ? plain(element) : children.map(child => read(child, schema._zod.def.element))
  }
  if (schema instanceof z.core.$ZodObject) {
    const { shape, catchall } = schema._zod.def
    return membersRead(element, key => (Object.hasOwn(shape, key) ? shape[key] : catchall))
  }
  if (schema instanceof z.core.$ZodRecord) return membersRead(element, () => schema._zod.def.valueType)
  if (schema instanceof z.core.$ZodUnknown || schema instanceof z.core.$ZodAny) return plain(element)
  return isLeaf(element) ? scalar(text, schema) : plain(element)
}

function membersRead(element: Element, schemaOf: (key: string) => Schema | undefined): Record<string, unknown> {
  return gathered(
    membersOf(element).map(([key, part]) => {
      const schema = schemaOf(key)
      return [key, schema ? read(part, schema) : plain(part)]
    }),
  )
}

/** The form that the element fits, else the first. */
function readUnion(element: Element, { _zod }: z.core.$ZodUnion): unknown {
  const forms = _zod.def.options.map(option => ({ option, value: read(element, option) }))
  return (forms.find(({ option, value }) => z.safeParse(option, value).success) ?? forms[0])?.value
}

/** What a schema wraps; of a pipe, the side that the value comes in by. */
function innerOf(schema: Schema): Schema | undefined {
  if (schema instanceof z.core.$ZodPipe) {
    return schema._zod.def.in instanceof z.core.$ZodTransform ? schema._zod.def.out : schema._zod.def.in
  }
  if (schema instanceof z.core.$ZodLazy) return schema._zod.innerType
  const { def } = schema._zod
  return 'innerType' in def ? (def.innerType as Schema) : undefined
}

const NUMBER = /^[ \t\n]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t\n]*$/
const booleanOf = (text: string) => (/^[ \t\n]*(true|false)[ \t\n]*$/i.test(text) ? /true/i.test(text) : text)

function scalar(text: string, schema: Schema): unknown {
  if (schema instanceof z.core.$ZodNumber) return numberOf(text)
  if (schema instanceof z.core.$ZodBoolean) return booleanOf(text)
  if (schema instanceof z.core.$ZodNull) return text === 'None' ? null : text
  if (schema instanceof z.core.$ZodLiteral || schema instanceof z.core.$ZodEnum) return listed(text, schema)
  return text
}

const numberOf = (text: string) => (NUMBER.test(text) ? Number(text) : text)

/** The one of a closed list that is written so. */
function listed(text: string, { _zod }: z.core.$ZodLiteral | z.core.$ZodEnum): unknown {
  const values: unknown[] = [..._zod.values]
  const readings = [text, numberOf(text), booleanOf(text), text === 'None' ? null : text]
  return readings.find(reading => values.includes(reading)) ?? text
}
