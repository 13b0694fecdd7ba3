import { ATTRIBUTES, BARE_ROOTS, isName, itemName, NAMESPACE } from './names.ts'

/** An element to write. Its content is a text or its children. */
interface Element {
  name: string
  attributes: [string, string][]
  content: string | Element[]
}

const PROLOG = '<?xml version="1.0" encoding="UTF-8"?>\n'
const INDENT = '    '

/**
 * A JSON value as an XML document. Its single top key becomes the root, and `links` next to a list become a child of
 * it. A value without a single top key is put into a root named `bareRoot`. Characters that XML 1.0 does not allow
 * become U+FFFD.
 *
 * @example
 * writeXml({ volume: { size: 2 } }) // <volume xmlns="…" size="2"/>
 */
export function writeXml(value: unknown, bareRoot = BARE_ROOTS): string {
  const root = rootOf(value, bareRoot)
  return `${PROLOG}${serialize({ ...root, attributes: [['xmlns', NAMESPACE], ...root.attributes] }, '')}`
}

function rootOf(value: unknown, bareRoot: string): Element {
  if (!isObject(value)) return element(bareRoot, value)
  const { links, ...rest } = value
  // `<key>_links` repeats `links` for one client that reads JSON only.
  const lists = members(rest).filter(
    ([key]) => links === undefined || !(key.endsWith('_links') && key.slice(0, -6) in rest),
  )
  const [[key, list] = ['', undefined], ...furtherLists] = lists
  if (links !== undefined && furtherLists.length === 0 && Array.isArray(list) && isName(key)) {
    return {
      ...element(key, list),
      content: [...list.map(item => element(itemName(key), item)), element('links', links)],
    }
  }
  const [[only, content] = ['', undefined], ...others] = members(value)
  return others.length === 0 && isName(only) ? element(only, content) : element(bareRoot, value)
}

function element(name: string, value: unknown): Element {
  if (Array.isArray(value)) return { name, attributes: [], content: value.map(item => element(itemName(name), item)) }
  if (!isObject(value)) return { name, attributes: [], content: scalar(value) }
  const attributeKeys = (ATTRIBUTES.get(name) ?? []).filter(key => value[key] !== undefined && !isObject(value[key]))
  return {
    name,
    attributes: attributeKeys.map(key => [key, scalar(value[key])]),
    content: members(value)
      .filter(([key]) => !attributeKeys.includes(key))
      .map(([key, item]) => (isName(key) ? element(key, item) : keyedItem(key, item))),
  }
}

/** `<item key="…">`, for a key that cannot be the name of an element. */
function keyedItem(key: string, value: unknown): Element {
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

function serialize({ name, attributes, content }: Element, indent: string): string {
  const start = `${indent}<${name}${attributes.map(([key, value]) => ` ${key}="${escapeAttribute(value)}"`).join('')}`
  if (content.length === 0) return `${start}/>\n`
  if (typeof content === 'string') return `${start}>${escapeText(content)}</${name}>\n`
  return `${start}>\n${content.map(child => serialize(child, indent + INDENT)).join('')}${indent}</${name}>\n`
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const FORBIDDEN = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu

/** Escapes a text. Parsers turn a carriage return into a line feed, so it is written as a reference. */
const escapeText = (value: string) =>
  value
    .replace(FORBIDDEN, '\uFFFD')
    .replace(/[&<>]/g, character => ESCAPES[character] ?? character)
    .replaceAll('\r', '&#13;')

/** Escapes an attribute. Parsers turn tabs and line ends into spaces, so they are written as references. */
const escapeAttribute = (value: string) =>
  escapeText(value)
    .replaceAll('"', '&quot;')
    .replace(/[\t\n]/g, character => `&#${character.charCodeAt(0)};`)
