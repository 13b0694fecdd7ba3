import { describe, expect, it } from '@jest/globals'
import { clientToken, partFromTags, partTags } from '../../../../lib/platform/compute/ec2/tags.ts'

describe('the tags of a part', () => {
  it('name the deployment, the part, its instance and its project, and identify the part again', () => {
    const part = { name: 'server-i1-1', instance: 'i1', project: 'p1' }
    const tags = partTags('coffer-dev', part)
    expect(Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]))).toEqual({
      Name: 'coffer-dev-server-i1-1',
      'coffer-stage': 'coffer-dev',
      'coffer-name': 'server-i1-1',
      'coffer-instance': 'i1',
      'coffer-project': 'p1',
    })
    expect(partFromTags(tags)).toEqual(part)
    expect(partFromTags(partTags('coffer-dev', part, { named: false }))).toBeUndefined()
  })

  it('come with a client token for each name and deployment, of 64 characters at most', () => {
    expect(clientToken('coffer-dev', 'server-i1-1')).toBe(clientToken('coffer-dev', 'server-i1-1'))
    expect(clientToken('coffer-dev', 'server-i1-1')).toMatch(/^[!-~]{1,64}$/)
    const others = [clientToken('coffer-prod', 'server-i1-1'), clientToken('coffer-dev', 'server-i1-2')]
    expect(new Set([clientToken('coffer-dev', 'server-i1-1'), ...others]).size).toBe(3)
  })
})
