import { describe, expect, it } from '@jest/globals'
import { negotiateFormat, requestFormat, serialize } from '../../../lib/kit/http/body-format.ts'

describe('negotiateFormat', () => {
  it.each([
    [undefined, 'json'],
    ['', 'json'],
    ['*/*', 'json'],
    ['application/*', 'json'],
    ['application/json', 'json'],
    ['text/html', 'json'],
    ['text/xml', 'json'],
    ['application/xml', 'xml'],
    ['APPLICATION/XML', 'xml'],
    ['application/vnd.openstack.trove+xml', 'xml'],
    ['application/vnd.openstack.trove+xml;version=1.0', 'xml'],
    ['application/vnd.openstack.trove+json', 'json'],
    ['application/xml, application/json', 'json'],
    ['application/xml;q=0.9, application/json;q=0.8', 'xml'],
    ['application/xml; q = 0.5 , application/json', 'json'],
    ['application/xml, */*', 'xml'],
    ['application/xml;q=0.5, */*;q=0.1', 'xml'],
    ['application/json;q=0.5, */*', 'xml'],
    ['text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8', 'xml'],
    ['application/json;q=0, */*', 'xml'],
    ['application/json;q=0', 'json'],
    ['application/xml;q=0', 'json'],
    ['application/xml;q=0, */*', 'json'],
    ['application/xml;q=x', 'json'],
    ['application/xml;q=2', 'json'],
    [',,;;q=,', 'json'],
    [`${'a/b,'.repeat(4_000)}application/xml`, 'xml'],
  ])('for the header %s answers in %s', (accept, format) => {
    expect(negotiateFormat(accept)).toBe(format)
  })
})

describe('requestFormat', () => {
  it.each([
    ['application/json', 'json'],
    ['application/json; charset=utf-8', 'json'],
    ['Application/XML', 'xml'],
    ['application/xml;charset="UTF-8"', 'xml'],
    ['application/xml ; charset=us-ascii', 'xml'],
    ['application/vnd.openstack.trove+xml', 'xml'],
    ['application/xml; charset=utf-16', undefined],
    ['text/xml', undefined],
    ['application/xmlx', undefined],
    ['application/soap+xml', undefined],
    ['', undefined],
  ])('reads the type %s as %s', (type, format) => {
    expect(requestFormat(type)).toBe(format)
  })
})

describe('serialize', () => {
  it('has a media type even without a body', () => {
    expect(serialize(undefined, 'xml', 202)).toEqual({ type: 'application/xml', body: '' })
    expect(serialize(undefined, 'json', 202)).toEqual({ type: 'application/json', body: '' })
  })
})
