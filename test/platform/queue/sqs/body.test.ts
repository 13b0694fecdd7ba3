import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { batches, decodeSqsBody, encodeSqsBody } from '../../../../lib/platform/queue/sqs/body.ts'

describe('SQS bodies', () => {
  // What SQS supports: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF, and one character at least.
  const supported = /^[\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]+$/u

  it('contain only characters that SQS supports, and are decoded again', () => {
    for (const text of ['', '{"a":1}', '\0', 'a\ufffe', '\uffff', '\u001f', 'base64:eA==', 'Zürich 🏦\t\r\n\u007f']) {
      expect(encodeSqsBody(text)).toMatch(supported)
      expect(decodeSqsBody(encodeSqsBody(text))).toBe(text)
    }
    expect(encodeSqsBody('{"a":"ü"}')).toBe('{"a":"ü"}')
  })

  it('decode to the same text, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        text => decodeSqsBody(encodeSqsBody(text)) === text && supported.test(encodeSqsBody(text)),
      ),
    )
  })

  it('are split into batches of at most ten and 256 KiB, in order', () => {
    const split = (count: number, size: number) =>
      batches(
        Array.from({ length: count }, () => size),
        each => each,
      )
    expect(split(25, 1).map(({ length }) => length)).toEqual([10, 10, 5])
    expect(split(5, 100_000).map(({ length }) => length)).toEqual([2, 2, 1])
    expect(split(2, 300_000).map(({ length }) => length)).toEqual([1, 1])
    expect(split(0, 1)).toEqual([])
    const entries = Array.from({ length: 30 }, (_, index) => index)
    expect(batches(entries, () => 30_000).flat()).toEqual(entries)
  })
})
