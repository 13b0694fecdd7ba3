import { writeXml } from '../xml/write.ts'

/** The formats of request and response bodies. */
export type BodyFormat = 'json' | 'xml'

const TYPES: Record<BodyFormat, string[]> = {
  json: ['application/json', 'application/vnd.openstack.trove+json'],
  xml: ['application/xml', 'application/vnd.openstack.trove+xml'],
}

/** The format of a request body with this `Content-Type`; undefined for an unsupported type. */
export function requestFormat(type: string): BodyFormat | undefined {
  const [media = '', ...parameters] = type.toLowerCase().split(';')
  if (TYPES.json.includes(media.trim())) return 'json'
  const readable = parameters
    .map(charsetOf)
    .every(name => name === undefined || name === 'utf-8' || name === 'us-ascii')
  return TYPES.xml.includes(media.trim()) && readable ? 'xml' : undefined
}

/** What a parameter says of the charset; undefined if it is about something else. */
function charsetOf(parameter: string): string | undefined {
  const separator = parameter.indexOf('=')
  if (parameter.slice(0, Math.max(separator, 0)).trim() !== 'charset') return undefined
  return /^"?([^"\s]*)"?$/.exec(parameter.slice(separator + 1).trim())?.[1]
}

/**
 * The format that an `Accept` header prefers: the one of higher quality, then the one that is named rather than matched
 * by a wildcard, then JSON.
 */
export function negotiateFormat(accept: string | undefined): BodyFormat {
  if (accept === undefined || accept === '*/*' || accept === 'application/json') return 'json'
  const ranges = accept.toLowerCase().split(',').map(parseRange)
  const [json, xml] = [quality('json', ranges), quality('xml', ranges)]
  if (xml.quality !== json.quality) return xml.quality > json.quality ? 'xml' : 'json'
  return xml.quality > 0 && xml.exactness > json.exactness ? 'xml' : 'json'
}

function parseRange(text: string): { media: string; quality: number } {
  const [media = '', ...parameters] = text.split(';').map(part => part.trim())
  const quality = parameters.find(parameter => /^q\s*=/.test(parameter))?.replace(/^q\s*=\s*/, '') ?? '1'
  return { media, quality: /^[01](\.[0-9]{0,3})?$/.test(quality) ? Math.min(1, Number(quality)) : 0 }
}

/** The quality that the header gives to a format: that of the most exact range which matches it. */
function quality(format: BodyFormat, ranges: ReturnType<typeof parseRange>[]): { quality: number; exactness: number } {
  const levels = [
    (media: string) => TYPES[format].includes(media),
    (media: string) => media === 'application/*',
    (media: string) => media === '*/*',
  ]
  for (const [index, matches] of levels.entries()) {
    const matching = ranges.filter(({ media }) => matches(media))
    if (matching.length > 0)
      return { quality: Math.max(...matching.map(({ quality }) => quality)), exactness: 3 - index }
  }
  return { quality: 0, exactness: 0 }
}

/**
 * A response body as text, with its media type. In XML, a fault of Trove's filters (which has no top key) becomes
 * `<error>`.
 */
export function serialize(body: unknown, format: BodyFormat, status: number): { type: string; body: string } {
  const type = format === 'xml' ? 'application/xml' : 'application/json'
  if (body === undefined) return { type, body: '' }
  return { type, body: format === 'xml' ? writeXml(body, status >= 400 ? 'error' : undefined) : JSON.stringify(body) }
}
