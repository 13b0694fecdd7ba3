import { expect } from '@jest/globals'
import { writeXml } from '../../lib/kit/xml/write.ts'
import { type Seen, seen } from '../kit/xml/independent.ts'
import { faultOf } from './api-helpers.ts'
import type { Answer } from './coffer.ts'

const NS = 'http://docs.openstack.org/database/api/v1.0'

/** The forms that bodies can have, and what tests that ask in both read of the answers. */
export const FORMS = ['json', 'xml'] as const
export type Form = (typeof FORMS)[number]

/** A body as it is sent; text is text already. */
export function written(body: unknown, form: Form): string {
  if (typeof body === 'string') return body
  if (form === 'json') return JSON.stringify(body)
  return writeXml(body).replace(/<users (.*)\/>/, '<users><user $1/></users>')
}

/** A fault's status, its name, and its code as the body has it. */
export function told(answer: Answer, form: Form): [number, string, number] {
  if (form === 'json') {
    const { name, code } = faultOf(answer)
    return [answer.status, name, code]
  }
  const { name, attributes } = xml(answer)
  return [answer.status, name, Number(attributes['code'])]
}

/** The root of an answer's document, in the API's namespace. */
export function xml({ headers, text }: Answer): Seen {
  expect(headers.get('content-type')).toBe('application/xml')
  const root = seen(text)
  expect(root.uri).toBe(NS)
  return root
}

/** What a filter says before a route is found: its status and title. */
export function filtered(answer: Answer, form: Form): [number, string, string] {
  const { code, title } = form === 'json' ? answer.body : xml(answer).attributes
  return [answer.status, code, title]
}

/** The names at the top of an answer's body. */
export function top(answer: Answer, form: Form): string[] {
  if (answer.text === '') return []
  if (form === 'xml') return [xml(answer).name]
  expect(answer.headers.get('content-type')).toBe('application/json')
  return Object.keys(answer.body)
}
