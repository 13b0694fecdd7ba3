import { expect } from '@jest/globals'
import { writeXml } from '../../lib/kit/xml/write.ts'
import { parseWithSaxes, type SaxesElement } from '../kit/xml/saxes.ts'
import { faultOf } from './api-helpers.ts'
import type { Answer } from './coffer.ts'

const NS = 'http://docs.openstack.org/database/api/v1.0'

/** The formats of bodies; the functions below read responses in both. */
export const FORMATS = ['json', 'xml'] as const
export type Format = (typeof FORMATS)[number]

/** The text of a body in a format; a string is sent as it is. */
export function serialize(body: unknown, form: Format): string {
  if (typeof body === 'string') return body
  if (form === 'json') return JSON.stringify(body)
  return writeXml(body).replace(/<users (.*)\/>/, '<users><user $1/></users>')
}

/** The status of a fault, its name, and the code in its body. */
export function faultSummary(answer: Answer, form: Format): [number, string, number] {
  if (form === 'json') {
    const { name, code } = faultOf(answer)
    return [answer.status, name, code]
  }
  const { name, attributes } = xmlRoot(answer)
  return [answer.status, name, Number(attributes['code'])]
}

/** The root of the response's document, in the API's namespace. */
export function xmlRoot({ headers, text }: Answer): SaxesElement {
  expect(headers.get('content-type')).toBe('application/xml')
  const root = parseWithSaxes(text)
  expect(root.uri).toBe(NS)
  return root
}

/** The error of a filter, which runs before the route: its status, code and title. */
export function filterError(answer: Answer, form: Format): [number, string, string] {
  const { code, title } = form === 'json' ? answer.body : xmlRoot(answer).attributes
  return [answer.status, code, title]
}

/** The top-level keys of the response's body. */
export function topLevelNames(answer: Answer, form: Format): string[] {
  if (answer.text === '') return []
  if (form === 'xml') return [xmlRoot(answer).name]
  expect(answer.headers.get('content-type')).toBe('application/json')
  return Object.keys(answer.body)
}
