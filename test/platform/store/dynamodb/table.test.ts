import { describe, expect, it } from '@jest/globals'
import { entriesOf, TABLE } from '../../../../lib/platform/store/dynamodb/table.ts'

describe('the table', () => {
  it('removes expired items, and has no index that could be stale', () => {
    expect(TABLE.TimeToLiveSpecification).toEqual({ AttributeName: 'ttl', Enabled: true })
    expect(Object.keys(TABLE).filter(name => name.includes('Index'))).toEqual([])
  })

  it('has an index entry for the subject and for the parent, that of an instance as it always was', () => {
    const fields = { subject: { kind: 'instance', id: 'i1' }, parent: { kind: 'cluster', id: 'c1' } }
    const [, subject, parent] = entriesOf({ project: 'demo', id: 'a#1' }, fields, 'token')
    const sk = 'a#1\u0001demo\u0001token'
    expect([subject, parent]).toEqual([
      { pk: 'i/i1', sk },
      { pk: 'o/cluster/c1', sk },
    ])
  })
})
