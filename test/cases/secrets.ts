import { describe, expect, it } from '@jest/globals'
import type { Secrets } from '../../lib/platform/secrets/secrets.ts'

/** What every backend of Secrets keeps; `reopen` is another process on the same keys. */
export function secretsCases(name: string, make: () => Promise<{ secrets: Secrets; reopen: () => Secrets }>): void {
  describe(`secrets: ${name}`, () => {
    it('has a current key of 32 bytes that is the same each time', async () => {
      const { secrets } = await make()
      const key = await secrets.current()
      expect(key.bytes).toHaveLength(32)
      expect(key.id).not.toBe('')
      expect(await secrets.current()).toEqual(key)
    })

    it('finds the current key by its id and no other', async () => {
      const { secrets } = await make()
      const key = await secrets.current()
      expect(await secrets.byId(key.id)).toEqual(key)
      expect(await secrets.byId('unknown')).toBeUndefined()
      expect(await secrets.byId('__proto__')).toBeUndefined()
    })

    it('keeps its keys', async () => {
      const { secrets, reopen } = await make()
      expect(await reopen().current()).toEqual(await secrets.current())
    })

    it('gives all who come first at once the same key', async () => {
      const { secrets, reopen } = await make()
      const keys = await Promise.all([secrets, reopen(), reopen(), reopen()].map(each => each.current()))
      for (const key of keys) expect(key).toEqual(keys[0])
    })

    it('is not spoilt by a caller that writes on a key', async () => {
      const { secrets } = await make()
      const key = await secrets.current()
      const before = key.bytes.slice()
      key.bytes.fill(0)
      expect((await secrets.current()).bytes).toEqual(before)
    })
  })
}
