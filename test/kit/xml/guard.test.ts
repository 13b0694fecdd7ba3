import { describe, expect, it } from '@jest/globals'
import { FilterFault } from '../../../lib/kit/errors.ts'
import { parseXml } from '../../../lib/kit/xml/read.ts'

const NS = 'http://docs.openstack.org/database/api/v1.0'

/** The status and message of the refusal; what was read if there is none. */
function refusal(document: string): string {
  try {
    return `read ${JSON.stringify(parseXml(document))}`
  } catch (error) {
    if (!(error instanceof FilterFault)) throw error
    return `${error.status} ${error.message}`
  }
}

const billionLaughs = `<!DOCTYPE lolz [<!ENTITY lol "lol">${Array.from({ length: 10 }, (_, level) => `<!ENTITY lol${level} "${`&lol${level - 1 < 0 ? '' : level - 1};`.repeat(10)}">`).join('')}]><lolz>&lol9;</lolz>`
const repeat = (count: number, part: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => part(index)).join('')

describe('parseXml, given an unsafe or malformed document', () => {
  it.each([
    ['billion laughs', billionLaughs],
    ['an external entity', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'],
    ['an external document type', '<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>'],
    ['a document type inside', '<a><!DOCTYPE a></a>'],
    ['a document type in lower case', '<!doctype a><a/>'],
    ['a parameter entity', '<!DOCTYPE a [<!ENTITY % x "y"> %x;]><a/>'],
    ['a declared attribute', '<!DOCTYPE a [<!ATTLIST a b CDATA "c">]><a/>'],
    ['an undeclared entity', '<a>&x;</a>'],
    ['an HTML entity', '<a>&nbsp;</a>'],
    ['an undeclared entity in an attribute', '<a b="&x;"/>'],
    ['a lone ampersand', '<a>x & y</a>'],
    ['a reference to NUL', '<a>&#0;</a>'],
    ['a reference to half a surrogate pair', '<a>&#xD800;</a>'],
    ['a reference beyond Unicode', '<a>&#x110000;</a>'],
    ['a control character', '<a>\u0001</a>'],
    ['half a surrogate pair', '<a>\ud800</a>'],
    ['a noncharacter', '<a>\uffff</a>'],
    ['10,000 levels', `${'<a>'.repeat(10_000)}${'</a>'.repeat(10_000)}`],
    ['33 levels', `${'<a>'.repeat(33)}${'</a>'.repeat(33)}`],
    ['100,000 attributes', `<a ${repeat(100_000, index => `a${index}=""`)}/>`.replaceAll('""', '"" ')],
    ['100,000 elements', `<a>${'<b/>'.repeat(100_000)}</a>`],
    ['a repeated attribute', '<a b="1" b="2"/>'],
    ['an attribute repeated by a prefix', `<a xmlns:p="${NS}" b="1" p:b="2"/>`],
    ['an attribute without quotes', '<a b=1/>'],
    ['an attribute without value', '<a b/>'],
    ['attributes without a space', '<a b="1"c="2"/>'],
    ['< in an attribute', '<a b="<"/>'],
    ['two roots', '<a/><b/>'],
    ['text before the root', 'x<a/>'],
    ['text after the root', '<a/>x'],
    ['a CDATA section before the root', '<![CDATA[x]]><a/>'],
    ['no root', '<!-- only this -->'],
    ['an element that is not closed', '<a>'],
    ['elements that cross', '<a><b></a></b>'],
    ['a tag that does not end', '<a'],
    ['a CDATA section that does not end', '<a><![CDATA[x]]</a>'],
    ['a comment that does not end', '<a><!-- x</a>'],
    ['-- in a comment', '<a><!-- x -- y --></a>'],
    [']]> in text', '<a>]]></a>'],
    ['a processing instruction', '<a><?php echo 1 ?></a>'],
    ['a style sheet', '<?xml-stylesheet href="a.xsl"?><a/>'],
    ['a second prolog', '<?xml version="1.0"?><?xml version="1.0"?><a/>'],
    ['a prolog after a space', ' <?xml version="1.0"?><a/>'],
    ['a prolog that declares UTF-16', '<?xml version="1.0" encoding="UTF-16"?><a/>'],
    ['a prolog that declares another encoding', '<?xml version="1.0" encoding="ISO-8859-1"?><a/>'],
    ['a prolog that declares UTF-7', '<?xml version="1.0" encoding="UTF-7"?><a/>'],
    ['XML 1.1', '<?xml version="1.1"?><a/>'],
    ['a prolog without version', '<?xml encoding="utf-8"?><a/>'],
    ['UTF-16 read as bytes', '\ufffd\ufffd<\0a\0/\0>\0'],
    ['a name after a space', '< a/>'],
    ['a name that begins with a digit', '<1a/>'],
    ['a name with two colons', `<p:a:b xmlns:p="${NS}"/>`],
    ['a prefix that is not declared', '<p:a/>'],
    ['a prefix of another namespace', '<p:a xmlns:p="urn:other"/>'],
    ['a prefix of another namespace inside', `<p:a xmlns:p="${NS}"><p:b xmlns:p="urn:other"/></p:a>`],
    ['a prefix declared on a sibling', `<a><b xmlns:p="${NS}"/><p:c/></a>`],
    ['an attribute of another namespace', '<a xmlns:p="urn:other" p:b="1"/>'],
    ['an include', '<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd"/></a>'],
    ['__proto__ as a key', '<a><__proto__ x="1"/></a>'],
    ['__proto__ as an attribute', '<a __proto__="1"/>'],
    ['text beside children', '<a>x<b/></a>'],
    ['text beside attributes', '<a b="1">x</a>'],
    ['JSON', '{"a":1}'],
  ])('refuses %s', (_name, document) => {
    expect(refusal(document)).toMatch(/^400 The server could not comply with the request since it is malformed: /)
  })

  it('says what is wrong in the form of Trove’s filters', () => {
    expect(() => parseXml('<!DOCTYPE a><a/>')).toThrow(
      'The server could not comply with the request since it is malformed: document types are not accepted.',
    )
  })

  it('leaves Object.prototype unchanged', () => {
    for (const document of [
      '<a><constructor><prototype x="1"/></constructor></a>',
      '<a><item key="__proto__"><x>1</x></item></a>',
    ])
      refusal(document)
    expect(Object.keys(Object.prototype)).toEqual([])
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
  })
})

describe('parseXml, given a well-formed document', () => {
  it.each([
    ['a prolog', '<?xml version="1.0" encoding="utf-8" standalone="yes" ?>\n<a><b>1</b></a>', { a: { b: '1' } }],
    [
      'a prolog in single quotes, after a byte order mark',
      "\ufeff<?xml version='1.0'?><a><b>1</b></a>",
      { a: { b: '1' } },
    ],
    ['comments', '<!-- x --><a><!-- <!DOCTYPE a> & --><b>1<!-- y -->2</b></a><!-- z -->', { a: { b: '12' } }],
    ['CDATA sections', '<a><b>1 &lt; <![CDATA[<c>&amp;</c>]]></b></a>', { a: { b: '1 < <c>&amp;</c>' } }],
    ['an entity in a CDATA section', '<a><b><![CDATA[&x;]]></b></a>', { a: { b: '&x;' } }],
    ['an escaped entity as text', '<a><b>&amp;lt;</b></a>', { a: { b: '&lt;' } }],
    ['references', '<a b="&#x1F40D;&#65;&quot;&apos;"><c>&gt;&#13;</c></a>', { a: { b: '🐍A"\'', c: '>\r' } }],
    ['line ends', '<a b="x\r\ny\tz"><c>x\r\ny\rz</c></a>', { a: { b: 'x y z', c: 'x\ny\nz' } }],
    ['line ends around the root', '<?xml version="1.0"?>\r\n\r<a b="1"/>\r\n', { a: { b: '1' } }],
    ['> in an attribute', '<a b="/>"/>', { a: { b: '/>' } }],
    ['32 levels', `${'<a>'.repeat(31)}<a b="1"/>${'</a>'.repeat(31)}`, expect.anything()],
    ['a prefix', `<p:a xmlns:p="${NS}" b="1"><p:c>2</p:c></p:a>`, { a: { b: '1', c: '2' } }],
    ['an attribute of the XML namespace', '<a xml:lang="en" b="1"/>', { a: { b: '1' } }],
    [
      'the place of a schema',
      '<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="x y" b="1"/>',
      { a: { b: '1' } },
    ],
    ['no namespace', '<databases><database name="cart"/></databases>', { databases: [{ name: 'cart' }] }],
    ['an empty element', '<a/>', { a: {} }],
    ['spaces around children', '<a>\n  <b>  x </b>\n</a>', { a: { b: '  x ' } }],
  ])('reads %s', (_name, document, value) => {
    expect(parseXml(document)).toEqual(value)
  })
})
