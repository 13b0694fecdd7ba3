import { describe, expect, it } from '@jest/globals'
import { MAX_CREDENTIALS } from '../../../../lib/platform/identity/builtin/credentials.ts'
import { NameTaken, TooMany } from '../../../../lib/ports/accounts.ts'
import { service } from '../../../keystone/service.ts'

describe('application credentials', () => {
  it('are limited in number', async () => {
    const { identity, demo } = await service()
    const specOf = (name: string) => ({ user: demo.user.id, project: demo.project.id, name, roles: ['reader'] })
    await Promise.all(
      Array.from({ length: MAX_CREDENTIALS }, (_, n) => identity.credentials.create(specOf(`c${n}`), 's')),
    )
    await expect(identity.credentials.create(specOf('more'), 's')).rejects.toThrow(TooMany)
    expect(await identity.credentials.listOf(demo.user.id)).toHaveLength(MAX_CREDENTIALS)
  })

  it('are not confused with a new one of the same name', async () => {
    const { identity, demo } = await service()
    const spec = { user: demo.user.id, project: demo.project.id, name: 'ci', roles: ['reader'] }
    const old = await identity.credentials.create(spec, 's')
    await expect(identity.credentials.create(spec, 's')).rejects.toThrow(NameTaken)
    await identity.credentials.remove(old)
    const next = await identity.credentials.create(spec, 's')
    expect(await identity.credentials.byId(old.id)).toBeUndefined()
    expect(await identity.credentials.byId(next.id)).toEqual(next)
    expect(await identity.credentials.byName(demo.user.id, 'ci')).toEqual(next)
  })
})
