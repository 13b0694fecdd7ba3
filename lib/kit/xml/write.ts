import { ATTRIBUTES, BARE, isName, itemName, NAMESPACE } from './names.ts'

/** An element to be written: text, or children. */
interface Element {
  name: string
  attributes: [string, string][]
  content: string | Element[]
}

const PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n'
const INDENT = '    '

/**
 * A JSON value as a document: the top key is the root, `links` beside a list become its child. What has no single top
 * key stands in a root named `bare`. What XML 1.0 cannot hold (control characters, halves of pairs) becomes U+FFFD.
 */
export function writeXml(value: unknown, bare = BARE): string {
  const root = rootOf(value, bare)
  return `${PROLOG}${text({ ...root, attributes: [['xmlns', NAMESPACE], ...root.attributes] }, '')}`
}

function rootOf(value: unknown, bare: string): Element {
  if (!isObject(value)) return element(bare, value)
  const { links, ...rest } = value
  // `<key>_links` says the same again, for one client's JSON.
  const own = members(rest).filter(
    ([key]) => links === undefined || !(key.endsWith('_links') && key.slice(0, -6) in rest),
  )
  const [[key, list] = ['', undefined], ...more] = own
  if (links !== undefined && more.length === 0 && Array.isArray(list) && isName(key)) {
    return {
      ...element(key, list),
      content: [...list.map(item => element(itemName(key), item)), element('links', links)],
    }
  }
  const [[only, content] = ['', undefined], ...others] = members(value)
  return others.length === 0 && isName(only) ? element(only, content) : element(bare, value)
}

function element(name: string, value: unknown): Element {
  if (Array.isArray(value)) return { name, attributes: [], content: value.map(item => element(itemName(name), item)) }
  if (!isObject(value)) return { name, attributes: [], content: scalar(value) }
  const inside = (ATTRIBUTES.get(name) ?? []).filter(key => value[key] !== undefined && !isObject(value[key]))
  return {
    name,
    attributes: inside.map(key => [key, scalar(value[key])]),
    content: members(value)
      .filter(([key]) => !inside.includes(key))
      .map(([key, item]) => (isName(key) ? element(key, item) : keyed(key, item))),
  }
}

/** What cannot be the name of an element is an attribute of one. */
function keyed(key: string, value: unknown): Element {
  const { attributes, content } = element('item', value)
  return { name: 'item', attributes: [['key', key], ...attributes], content }
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const members = (value: Record<string, unknown>) => Object.entries(value).filter(([, item]) => item !== undefined)

function scalar(value: unknown): string {
  if (value === null || value === undefined) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  return String(value)
}

function text({ name, attributes, content }: Element, indent: string): string {
  const start = `${indent}<${name}${attributes.map(([key, value]) => ` ${key}="${quoted(value)}"`).join('')}`
  if (content.length === 0) return `${start}/>\n`
  if (typeof content === 'string') return `${start}>${escaped(content)}</${name}>\n`
  return `${start}>\n${content.map(child => text(child, indent + INDENT)).join('')}${indent}</${name}>\n`
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const UNFIT = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu

/** Readers turn a carriage return into a line feed, unless it is a reference. */
const escaped = (value: string) =>
  value
    .replace(UNFIT, '\uFFFD')
    .replace(/[&<>]/g, one => ESCAPES[one] ?? one)
    .replaceAll('\r', '&#13;')

/** Readers turn tabs and line ends of attributes into spaces, unless they are references. */
const quoted = (value: string) =>
  escaped(value)
    .replaceAll('"', '&quot;')
    .replace(/[\t\n]/g, one => `&#${one.charCodeAt(0)};`)
