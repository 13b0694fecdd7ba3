import { describe, expect, it } from '@jest/globals'
import { TokenProjects } from '../../../local/gateway/token-projects.ts'

describe('the projects of tokens', () => {
  it('are remembered for the 2,000 tokens used last', () => {
    const projects = new TokenProjects()
    projects.remember('first', 'demo')
    expect(['first', 'other', undefined].map(token => projects.projectOf(token))).toEqual([
      'demo',
      undefined,
      undefined,
    ])
    for (let index = 0; index < 1_999; index++) projects.remember(`t${index}`, 'alt')
    expect(projects.projectOf('first')).toBe('demo')
    projects.remember('last', 'alt')
    expect(projects.projectOf('first')).toBeUndefined()
  })
})
