import { describe, expect, it } from '@jest/globals'
import { parseLimits } from '../../../lib/quotas/verbs/update.ts'

describe('parseLimits', () => {
  it('accepts numbers and digits, and skips nulls and the namespace that XML leaves', () => {
    expect(parseLimits({ instances: 5, ram: null, volumes: '7', xmlns: 'http://x', backups: -1 })).toEqual({
      instances: 5,
      volumes: 7,
      backups: -1,
    })
    expect(parseLimits({})).toEqual({})
  })

  it.each([
    [{ cores: 1 }, 404],
    [{ __proto__x: 1 }, 404],
    [{ constructor: 1 }, 404],
    [{ instances: -2 }, 400],
    [{ instances: '-2' }, 400],
    [{ instances: 1.5 }, 400],
    [{ instances: 'many' }, 400],
    [{ instances: true }, 400],
    [{ instances: [1] }, 400],
    [{ instances: 2 ** 31 }, 400],
    [{ instances: 1e308 }, 400],
  ])('refuses %j with %i', (quotas, status) => {
    expect(() => parseLimits(quotas)).toThrow(expect.objectContaining({ status }))
  })
})
