import { FilterFault } from '../errors.ts'

const MAX_DEPTH = 32
/** The most tags and attributes of a document; the largest request that is kept has fewer. */
const MAX_PARTS = 20_000

const PROLOG =
  /^<\?xml\s+version\s*=\s*(?:"1\.0"|'1\.0')(?:\s+encoding\s*=\s*(?:"([\w.-]+)"|'([\w.-]+)'))?(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*\?>/
const UNFIT = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u
const REFERENCE = /&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));/g
const NAMED: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

/** A document that cannot be read: 400 in the shape of Trove's filters. */
export const malformed = (why: string) =>
  new FilterFault(400, `The server could not comply with the request since it is malformed: ${why}`)

/**
 * The document without its prolog and with plain line ends, once it is sure that it has nothing the reader is lax about:
 * one root, no document type, no processing instruction, no references but to characters and the five predefined
 * entities, at most 32 levels. Throws 400.
 */
export function guarded(document: string): string {
  const text = afterProlog(document.replace(/^\uFEFF/, '')).replace(/\r\n?/g, '\n')
  if (UNFIT.test(text)) throw malformed('the document has a character that XML does not allow.')
  const state = { depth: 0, roots: 0, parts: 0 }
  for (let at = 0; at < text.length; ) {
    const open = text.indexOf('<', at)
    const end = open < 0 ? text.length : open
    checkText(text.slice(at, end), state.depth)
    at = open < 0 ? end : afterMarkup(text, open, state)
  }
  if (state.roots !== 1 || state.depth !== 0) throw malformed('the document does not have one root element.')
  return text
}

function afterProlog(text: string): string {
  if (!/^<\?xml[\s?]/.test(text)) return text
  const [prolog, quoted, encoding = quoted] = PROLOG.exec(text) ?? []
  if (prolog === undefined || !/^(utf-8|us-ascii|ascii)$/i.test(encoding ?? 'utf-8')) {
    throw malformed('the document is not XML 1.0 in UTF-8.')
  }
  return text.slice(prolog.length)
}

function checkText(text: string, depth: number): void {
  if (depth === 0 && /[^ \t\n]/.test(text)) throw malformed('there is text outside of the root element.')
  if (text.includes(']]>')) throw malformed("']]>' may not stand in text.")
  resolved(text)
}

/** The text with its references replaced. Throws 400 for any but those to characters and the predefined entities. */
export function resolved(text: string): string {
  if (!text.includes('&')) return text
  if (text.replace(REFERENCE, '').includes('&')) throw malformed('an entity is not declared.')
  return text.replace(REFERENCE, (_all, name: string | undefined, decimal: string | undefined, hex: string) => {
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
    const character = name === undefined ? (code <= 0x10ffff ? String.fromCodePoint(code) : '\0') : (NAMED[name] ?? '')
    if (UNFIT.test(character)) throw malformed('a reference is to a character that XML does not allow.')
    return character
  })
}

interface State {
  depth: number
  roots: number
  parts: number
}

/** Where the markup that begins at `open` ends. */
function afterMarkup(text: string, open: number, state: State): number {
  if (text.startsWith('<!--', open)) return afterComment(text, open)
  if (text.startsWith('<![CDATA[', open)) {
    if (state.depth === 0) throw malformed('there is text outside of the root element.')
    return found(text, ']]>', open + 9) + 3
  }
  if (text.startsWith('<!', open)) throw malformed('document types are not accepted.')
  if (text.startsWith('<?', open)) throw malformed('processing instructions are not accepted.')
  const end = afterTag(text, open + 1, state)
  if (text[open + 1] === '/') state.depth -= 1
  else if (state.depth === 0) state.roots += 1
  if (text[open + 1] !== '/' && text[end - 2] !== '/') state.depth += 1
  if (state.depth > MAX_DEPTH) throw malformed(`the body is nested deeper than ${MAX_DEPTH} levels.`)
  return end
}

function afterComment(text: string, open: number): number {
  const end = found(text, '--', open + 4)
  if (text[end + 2] !== '>') throw malformed("'--' may not stand in a comment.")
  return end + 3
}

/** Behind the `>` of a tag; its attributes' values are checked on the way. */
function afterTag(text: string, from: number, state: State): number {
  const next = /["'<>]/g
  next.lastIndex = from
  for (let match = next.exec(text); match && match[0] !== '<'; match = next.exec(text)) {
    state.parts += 1
    if (state.parts > MAX_PARTS) throw malformed(`the document has more than ${MAX_PARTS} tags and attributes.`)
    if (match[0] === '>') return match.index + 1
    const close = found(text, match[0], match.index + 1)
    const value = text.slice(match.index + 1, close)
    if (value.includes('<')) throw malformed("'<' may not stand in an attribute.")
    resolved(value)
    next.lastIndex = close + 1
  }
  throw malformed('a tag does not end.')
}

function found(text: string, what: string, from: number): number {
  const at = text.indexOf(what, from)
  if (at < 0) throw malformed(`${what} is missing.`)
  return at
}
