import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { decodeEntities, malformedXml, rejectUnsafe } from './guard.ts'
import { NAMESPACE } from './names.ts'

/** A parsed element: names without prefixes, text with its entities decoded. It has text only if it has no children. */
export interface Element {
  name: string
  attributes: [string, string][]
  children: Element[]
  text: string
}

/** An element as fast-xml-parser returns it: its name with its content, and `:@` with its attributes. */
type Node = Record<string, Node[] | Record<string, string> | string>

/** The most that are in scope: each element that declares one has a copy of them. */
const MAX_NAMESPACES = 64
const ATTRIBUTES = ':@'
const CDATA = '#cdata'
const SCHEMA_INSTANCE = 'http://www.w3.org/2001/XMLSchema-instance'
const BUILT_IN: [string, string][] = [['xml', 'http://www.w3.org/XML/1998/namespace']]

/** The root of a document. Throws Fault 400 if it is malformed or unsafe (see `rejectUnsafe`). */
export function parseDocument(document: string): Element {
  const text = rejectUnsafe(document)
  const roots = nodesOf(text).filter(node => !('#text' in node))
  const [root] = roots
  if (!root) throw malformedXml('there is no root element.')
  return elementOf(root, new Map(BUILT_IN))
}

function nodesOf(text: string): Node[] {
  const parser = new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: '',
    parseTagValue: false,
    trimValues: false,
    // `decodeEntities` decodes references, and only the predefined ones.
    processEntities: false,
    cdataPropName: CDATA,
    maxNestedTags: 33,
    // By default it renames keys like `toString`. They are safe here, since all keys become own properties.
    onDangerousProperty: name => name,
  })
  try {
    const valid = XMLValidator.validate(text)
    if (valid === true) return parser.parse(text) as Node[]
  } catch {
    // The library throws on what it considers an attack.
  }
  throw malformedXml('the body is not well-formed XML.')
}

function elementOf(node: Node, outer: ReadonlyMap<string, string>): Element {
  const [tag = ''] = Object.keys(node).filter(key => key !== ATTRIBUTES)
  const pairs = Object.entries((node[ATTRIBUTES] ?? {}) as Record<string, string>).map(
    ([key, value]) => [key, decodeEntities(value.replace(/[\t\n]/g, ' '))] as const,
  )
  const declarations = pairs
    .filter(([key]) => key.startsWith('xmlns:'))
    .map(([key, value]) => [key.slice(6), value] as const)
  if (outer.size + declarations.length > MAX_NAMESPACES) throw malformedXml('the document has too many namespaces.')
  const scope = declarations.length === 0 ? outer : new Map([...outer, ...declarations])
  const allAttributes = pairs.flatMap(([key, value]) => attributeOf(key, value, scope))
  if (new Set(allAttributes.map(([key]) => key)).size < allAttributes.length)
    throw malformedXml('an attribute is given twice.')
  const content = node[tag] as Node[]
  const children = content.filter(isElement).map(child => elementOf(child, scope))
  const { name, attributes } = withItemKey(localName(tag, scope), allAttributes)
  const text = content.map(textOf).join('')
  const isStructured = children.length > 0 || attributes.length > 0
  if (isStructured && !isBlank(text))
    throw malformedXml(`the element ${tag.slice(0, 80)} has text beside attributes or children.`)
  return { name, attributes, children, text: isStructured ? '' : text }
}

/** `<item key="…">` stands for keys that cannot be the name of an element. */
function withItemKey(name: string, attributes: [string, string][]): Pick<Element, 'name' | 'attributes'> {
  const key = name === 'item' ? attributes.find(([other]) => other === 'key')?.[1] : undefined
  if (key === undefined) return { name, attributes }
  return { name: key, attributes: attributes.filter(([other]) => other !== 'key') }
}

/** Whether the text is only XML white space. */
export const isBlank = (text: string) => !/[^ \t\n]/.test(text)
const isElement = (node: Node) => !('#text' in node) && !(CDATA in node)

function textOf(node: Node): string {
  const { '#text': text, [CDATA]: section } = node
  if (typeof text === 'string') return decodeEntities(text)
  return Array.isArray(section) ? section.map(part => String(part['#text'] ?? '')).join('') : ''
}

/** The attribute under its local name; none for `xmlns`, `xml:*` and `xsi:*`, which are not part of the request. */
function attributeOf(key: string, value: string, scope: ReadonlyMap<string, string>): [string, string][] {
  if (key === 'xmlns' || key.startsWith('xmlns:') || key.startsWith('xml:')) return []
  const [prefix] = key.split(':')
  if (key.includes(':') && scope.get(prefix ?? '') === SCHEMA_INSTANCE) return []
  return [[localName(key, scope), value]]
}

/** The name without its prefix. Throws Fault 400 unless the prefix stands for the API's namespace. */
function localName(name: string, scope: ReadonlyMap<string, string>): string {
  const [first = '', second, ...rest] = name.split(':')
  if (second === undefined) return first
  if (rest.length > 0 || second === '' || scope.get(first) !== NAMESPACE) {
    throw malformedXml(`the name ${name.slice(0, 80)} is not of the API's namespace.`)
  }
  return second
}
