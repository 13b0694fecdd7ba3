import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { guarded, malformed, resolved } from './guard.ts'
import { NAMESPACE } from './names.ts'

/** An element as read: its names without prefixes, its text resolved; text only where there are no children. */
export interface Element {
  name: string
  attributes: [string, string][]
  children: Element[]
  text: string
}

/** What the library makes of an element: its name with its content, and `:@` with its attributes. */
type Node = Record<string, Node[] | Record<string, string> | string>

const ATTRIBUTES = ':@'
const CDATA = '#cdata'
const SCHEMA_INSTANCE = 'http://www.w3.org/2001/XMLSchema-instance'
const BUILT_IN: [string, string][] = [['xml', 'http://www.w3.org/XML/1998/namespace']]

/** The root of a document. Throws 400 for what is not well-formed, and for all that `guarded` refuses. */
export function parsed(document: string): Element {
  const text = guarded(document)
  const roots = nodesOf(text).filter(node => !('#text' in node))
  const [root] = roots
  if (!root) throw malformed('there is no root element.')
  return elementOf(root, new Map(BUILT_IN))
}

function nodesOf(text: string): Node[] {
  const parser = new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: '',
    parseTagValue: false,
    trimValues: false,
    // Only the predefined entities and references to characters, by `resolved`.
    processEntities: false,
    cdataPropName: CDATA,
    maxNestedTags: 33,
    // It would rename `toString` and its like; what is read from a document is an own property everywhere.
    onDangerousProperty: name => name,
  })
  try {
    const valid = XMLValidator.validate(text)
    if (valid === true) return parser.parse(text) as Node[]
  } catch {
    // It throws on what it takes for an attack.
  }
  throw malformed('the body is not well-formed XML.')
}

function elementOf(node: Node, outer: ReadonlyMap<string, string>): Element {
  const [tag = ''] = Object.keys(node).filter(key => key !== ATTRIBUTES)
  const pairs = Object.entries((node[ATTRIBUTES] ?? {}) as Record<string, string>).map(
    ([key, value]) => [key, resolved(value.replace(/[\t\n]/g, ' '))] as const,
  )
  const declared = pairs
    .filter(([key]) => key.startsWith('xmlns:'))
    .map(([key, value]) => [key.slice(6), value] as const)
  const scope = declared.length === 0 ? outer : new Map([...outer, ...declared])
  const known = pairs.flatMap(([key, value]) => attributeOf(key, value, scope))
  if (new Set(known.map(([key]) => key)).size < known.length) throw malformed('an attribute is given twice.')
  const inner = node[tag] as Node[]
  const children = inner.filter(isElement).map(child => elementOf(child, scope))
  const { name, attributes } = keyed(localName(tag, scope), known)
  const text = inner.map(textOf).join('')
  const mixed = children.length > 0 || attributes.length > 0
  if (mixed && !isBlank(text))
    throw malformed(`the element ${tag.slice(0, 80)} has text beside attributes or children.`)
  return { name, attributes, children, text: mixed ? '' : text }
}

/** `<item key="…">` is for keys that cannot be the name of an element. */
function keyed(name: string, attributes: [string, string][]): Pick<Element, 'name' | 'attributes'> {
  const key = name === 'item' ? attributes.find(([other]) => other === 'key')?.[1] : undefined
  if (key === undefined) return { name, attributes }
  return { name: key, attributes: attributes.filter(([other]) => other !== 'key') }
}

export const isBlank = (text: string) => !/[^ \t\n]/.test(text)
const isElement = (node: Node) => !('#text' in node) && !(CDATA in node)

function textOf(node: Node): string {
  const { '#text': text, [CDATA]: section } = node
  if (typeof text === 'string') return resolved(text)
  return Array.isArray(section) ? section.map(part => String(part['#text'] ?? '')).join('') : ''
}

/** Declarations of namespaces, `xml:*` and `xsi:*` say nothing of the request. */
function attributeOf(key: string, value: string, scope: ReadonlyMap<string, string>): [string, string][] {
  if (key === 'xmlns' || key.startsWith('xmlns:') || key.startsWith('xml:')) return []
  const [prefix] = key.split(':')
  if (key.includes(':') && scope.get(prefix ?? '') === SCHEMA_INSTANCE) return []
  return [[localName(key, scope), value]]
}

/** The name without its prefix, which must be one of the API's namespace. */
function localName(name: string, scope: ReadonlyMap<string, string>): string {
  const [first = '', second, ...more] = name.split(':')
  if (second === undefined) return first
  if (more.length > 0 || second === '' || scope.get(first) !== NAMESPACE) {
    throw malformed(`the name ${name.slice(0, 80)} is not of the API's namespace.`)
  }
  return second
}
