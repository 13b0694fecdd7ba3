import { describe, expect, it } from '@jest/globals'
import { conflict, FilterFault, notFound, RateLimited } from '../../lib/kit/errors.ts'
import { faultBody } from '../../lib/trove/faults.ts'

describe('the body of a fault', () => {
  it('has one key, the name that Trove gives the status', () => {
    expect(faultBody(notFound('Backup 1 cannot be found.'))).toEqual({
      itemNotFound: { code: 404, message: 'Backup 1 cannot be found.' },
    })
    expect(Object.keys(faultBody(conflict('busy')))).toEqual(['conflict'])
  })

  it('has the form of Trove’s filters when the request did not get past one', () => {
    expect(faultBody(new FilterFault(415, 'No such type.'))).toEqual({
      code: '415 Unsupported Media Type',
      title: 'Unsupported Media Type',
      message: 'Unsupported Media Type<br /><br />\nNo such type.\n\n',
    })
  })

  it('says when to come again after too many requests', () => {
    const fault = new RateLimited(413, 'Only 200 GET request(s) can be made to * every minute.', 1_500)
    expect(faultBody(fault)).toEqual({
      overLimit: {
        code: 413,
        message: 'This request was rate-limited.',
        details: 'Only 200 GET request(s) can be made to * every minute.',
        retryAfter: '2',
      },
    })
    expect(fault.headers).toEqual({ 'Retry-After': '2' })
  })
})
