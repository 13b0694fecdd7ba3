import { describe, expect, it } from '@jest/globals'
import { TABLE } from '../../../../lib/platform/store/dynamodb/table.ts'

describe('the table', () => {
  it('removes expired items, and has no index that could be stale', () => {
    expect(TABLE.TimeToLiveSpecification).toEqual({ AttributeName: 'ttl', Enabled: true })
    expect(Object.keys(TABLE).filter(name => name.includes('Index'))).toEqual([])
  })
})
