import { FilterFault } from '../errors.ts'

const MAX_DEPTH = 32
/** The most tags, attributes, comments and sections of a document. 500 databases and 500 users have fewer. */
const MAX_PARTS = 8_000

const PROLOG =
  /^<\?xml\s+version\s*=\s*(?:"1\.0"|'1\.0')(?:\s+encoding\s*=\s*(?:"([\w.-]+)"|'([\w.-]+)'))?(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*\?>/
const FORBIDDEN = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u
const REFERENCE = /&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));/g
const PREDEFINED: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

/** The fault for an unreadable document: 400 in the form of Trove's filters. */
export const malformedXml = (reason: string) =>
  new FilterFault(400, `The server could not comply with the request since it is malformed: ${reason}`)

/**
 * Refuses everything that fast-xml-parser is lax about or that could be an attack, and returns the document without its
 * prolog and with normalized line ends. A document has one root, no document type, no processing instruction, only
 * references to characters and the five predefined entities, and at most 32 levels. Throws Fault 400.
 */
export function rejectUnsafe(document: string): string {
  const text = afterProlog(document.replace(/^\uFEFF/, '')).replace(/\r\n?/g, '\n')
  if (FORBIDDEN.test(text)) throw malformedXml('the document has a character that XML does not allow.')
  const state = { depth: 0, roots: 0, parts: 0 }
  for (let position = 0; position < text.length; ) {
    const open = text.indexOf('<', position)
    const end = open < 0 ? text.length : open
    checkText(text.slice(position, end), state.depth)
    position = open < 0 ? end : afterMarkup(text, open, state)
  }
  if (state.roots !== 1 || state.depth !== 0) throw malformedXml('the document does not have one root element.')
  return text
}

function afterProlog(text: string): string {
  if (!/^<\?xml[\s?]/.test(text)) return text
  const [prolog, quoted, encoding = quoted] = PROLOG.exec(text) ?? []
  if (prolog === undefined || !/^(utf-8|us-ascii|ascii)$/i.test(encoding ?? 'utf-8')) {
    throw malformedXml('the document is not XML 1.0 in UTF-8.')
  }
  return text.slice(prolog.length)
}

function checkText(text: string, depth: number): void {
  if (depth === 0 && /[^ \t\n]/.test(text)) throw malformedXml('there is text outside of the root element.')
  if (text.includes(']]>')) throw malformedXml("']]>' may not stand in text.")
  decodeEntities(text)
}

/**
 * The text with its references decoded. Throws Fault 400 for references to other than characters and predefined
 * entities.
 */
export function decodeEntities(text: string): string {
  if (!text.includes('&')) return text
  if (text.replace(REFERENCE, '').includes('&')) throw malformedXml('an entity is not declared.')
  return text.replace(REFERENCE, (_all, name: string | undefined, decimal: string | undefined, hex: string) => {
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
    const character =
      name === undefined ? (code <= 0x10ffff ? String.fromCodePoint(code) : '\0') : (PREDEFINED[name] ?? '')
    if (FORBIDDEN.test(character)) throw malformedXml('a reference is to a character that XML does not allow.')
    return character
  })
}

interface State {
  depth: number
  roots: number
  parts: number
}

/** Counts a part: each costs more than its characters do. */
function countPart(state: State): void {
  state.parts += 1
  if (state.parts > MAX_PARTS) throw malformedXml(`the document has more than ${MAX_PARTS} tags and attributes.`)
}

/** The position after the markup that begins at `open`. */
function afterMarkup(text: string, open: number, state: State): number {
  if (text.startsWith('<!', open)) countPart(state)
  if (text.startsWith('<!--', open)) return afterComment(text, open)
  if (text.startsWith('<![CDATA[', open)) {
    if (state.depth === 0) throw malformedXml('there is text outside of the root element.')
    return indexOf(text, ']]>', open + 9) + 3
  }
  if (text.startsWith('<!', open)) throw malformedXml('document types are not accepted.')
  if (text.startsWith('<?', open)) throw malformedXml('processing instructions are not accepted.')
  const end = afterTag(text, open + 1, state)
  if (text[open + 1] === '/') state.depth -= 1
  else if (state.depth === 0) state.roots += 1
  if (text[open + 1] !== '/' && text[end - 2] !== '/') state.depth += 1
  if (state.depth > MAX_DEPTH) throw malformedXml(`the body is nested deeper than ${MAX_DEPTH} levels.`)
  return end
}

/** The position after the comment that begins at `open`. */
function afterComment(text: string, open: number): number {
  const end = indexOf(text, '--', open + 4)
  if (text[end + 2] !== '>') throw malformedXml("'--' may not stand in a comment.")
  return end + 3
}

/** The position after the `>` of a tag. Checks the values of its attributes on the way. */
function afterTag(text: string, from: number, state: State): number {
  const next = /["'<>]/g
  next.lastIndex = from
  for (let match = next.exec(text); match && match[0] !== '<'; match = next.exec(text)) {
    countPart(state)
    if (match[0] === '>') return match.index + 1
    const close = indexOf(text, match[0], match.index + 1)
    const value = text.slice(match.index + 1, close)
    if (value.includes('<')) throw malformedXml("'<' may not stand in an attribute.")
    decodeEntities(value)
    next.lastIndex = close + 1
  }
  throw malformedXml('a tag does not end.')
}

function indexOf(text: string, delimiter: string, from: number): number {
  const index = text.indexOf(delimiter, from)
  if (index < 0) throw malformedXml(`${delimiter} is missing.`)
  return index
}
