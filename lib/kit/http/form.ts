import { writeXml } from '../xml/write.ts'

/** The forms of bodies on the wire. */
export type Form = 'json' | 'xml'

const TYPES: Record<Form, string[]> = {
  json: ['application/json', 'application/vnd.openstack.trove+json'],
  xml: ['application/xml', 'application/vnd.openstack.trove+xml'],
}

/** The form of a request's body by its `Content-Type`; undefined for a type that is not served. */
export function sentForm(type: string): Form | undefined {
  const [media = '', ...parameters] = type.toLowerCase().split(';')
  if (TYPES.json.includes(media.trim())) return 'json'
  const charset = parameters.map(parameter => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/.exec(parameter)?.[1])
  const readable = charset.every(name => name === undefined || name === 'utf-8' || name === 'us-ascii')
  return TYPES.xml.includes(media.trim()) && readable ? 'xml' : undefined
}

/** The form that an `Accept` header prefers: by quality, then the one named rather than meant by a `*`; else JSON. */
export function acceptedForm(accept: string | undefined): Form {
  if (accept === undefined || accept === '*/*' || accept === 'application/json') return 'json'
  const ranges = accept.toLowerCase().split(',').map(rangeOf)
  const [json, xml] = [wishFor('json', ranges), wishFor('xml', ranges)]
  if (xml.quality !== json.quality) return xml.quality > json.quality ? 'xml' : 'json'
  return xml.quality > 0 && xml.exactness > json.exactness ? 'xml' : 'json'
}

function rangeOf(text: string): { media: string; quality: number } {
  const [media = '', ...parameters] = text.split(';').map(part => part.trim())
  const quality = parameters.find(parameter => /^q\s*=/.test(parameter))?.replace(/^q\s*=\s*/, '') ?? '1'
  return { media, quality: /^[01](\.[0-9]{0,3})?$/.test(quality) ? Math.min(1, Number(quality)) : 0 }
}

/** How much a form is wanted: what the most exact of the ranges that mean it says. */
function wishFor(form: Form, ranges: ReturnType<typeof rangeOf>[]): { quality: number; exactness: number } {
  const levels = [
    (media: string) => TYPES[form].includes(media),
    (media: string) => media === 'application/*',
    (media: string) => media === '*/*',
  ]
  for (const [index, means] of levels.entries()) {
    const meant = ranges.filter(({ media }) => means(media))
    if (meant.length > 0) return { quality: Math.max(...meant.map(({ quality }) => quality)), exactness: 3 - index }
  }
  return { quality: 0, exactness: 0 }
}

/** A body in its form, with its type. In XML a fault of a filter, which has no top key, is named `error`. */
export function written(body: unknown, form: Form, status: number): { type: string; body: string } {
  const type = form === 'xml' ? 'application/xml' : 'application/json'
  if (body === undefined) return { type, body: '' }
  return { type, body: form === 'xml' ? writeXml(body, status >= 400 ? 'error' : undefined) : JSON.stringify(body) }
}
