import { describe, expect, it } from '@jest/globals'
import type { Secrets } from '../../lib/ports/secrets.ts'

/** The suite of every backend of Secrets; `reopen` is another process with the same keys. */
export function secretsCases(name: string, make: () => Promise<{ secrets: Secrets; reopen: () => Secrets }>): void {
  describe(`secrets: ${name}`, () => {
    it('has a current key of 32 bytes that is the same each time', async () => {
      const { secrets } = await make()
      const key = await secrets.current()
      expect(key.bytes).toHaveLength(32)
      expect(key.id).not.toBe('')
      expect(await secrets.current()).toEqual(key)
    })

    it('finds the current key by its id, and no other', async () => {
      const { secrets } = await make()
      const key = await secrets.current()
      expect(await secrets.byId(key.id)).toEqual(key)
      expect(await secrets.byId('unknown')).toBeUndefined()
      expect(await secrets.byId('__proto__')).toBeUndefined()
    })

    it('lists its keys, of which none is revoked', async () => {
      const { secrets } = await make()
      const { id } = await secrets.current()
      expect(await secrets.ids()).toContain(id)
      for (const other of await secrets.ids()) expect((await secrets.byId(other))?.id).toBe(other)
      expect(await secrets.revoked()).toEqual([])
    })

    it('gives the same key after a restart', async () => {
      const { secrets, reopen } = await make()
      expect(await reopen().current()).toEqual(await secrets.current())
    })

    it('gives all callers that come first at the same time the same key', async () => {
      const { secrets, reopen } = await make()
      const keys = await Promise.all([secrets, reopen(), reopen(), reopen()].map(each => each.current()))
      for (const key of keys) expect(key).toEqual(keys[0])
    })

    it('does not change its keys when a caller changes the bytes of one', async () => {
      const { secrets } = await make()
      const key = await secrets.current()
      const before = key.bytes.slice()
      key.bytes.fill(0)
      expect((await secrets.current()).bytes).toEqual(before)
    })
  })
}
