import { describe, expect, it } from '@jest/globals'
import { seedAccounts } from '../../../../lib/platform/identity/builtin/accounts.ts'
import { NameTaken } from '../../../../lib/ports/accounts.ts'
import { service } from '../../../keystone/service.ts'

describe('accounts', () => {
  it('are found by id and by name, without their hash', async () => {
    const { identity, demo } = await service()
    const user = await identity.accounts.user(demo.user.id)
    expect(user).toEqual({ ...demo.user, enabled: true, epoch: 1, defaultProject: demo.project.id })
    expect(await identity.accounts.userByName('demo')).toEqual(user)
    expect(await identity.accounts.projectByName('demo')).toEqual(demo.project)
    expect(await identity.accounts.roles(demo.user.id, demo.project.id)).toEqual(['member', 'reader'])
  })

  it.each(['', 'nobody', 'a/b', '#', '\0', '../x', 'x'.repeat(2000), '\ud800'])('do not exist for %j', async id => {
    const { accounts, credentials } = (await service()).identity
    expect(await accounts.user(id)).toBeUndefined()
    expect(await accounts.userByName(id)).toBeUndefined()
    expect(await accounts.project(id)).toBeUndefined()
    expect(await accounts.projectByName(id)).toBeUndefined()
    expect(await accounts.roles(id, id)).toEqual([])
    expect(await accounts.projectsOf(id)).toEqual([])
    expect(await credentials.byId(id)).toBeUndefined()
    expect(await credentials.byName(id, id)).toBeUndefined()
    expect(await credentials.listOf(id)).toEqual([])
  })

  it('have unique names', async () => {
    const { accounts } = (await service()).identity
    await expect(accounts.createUser({ name: 'demo', password: 'x' })).rejects.toThrow(NameTaken)
    await expect(accounts.createProject('demo')).rejects.toThrow(NameTaken)
  })

  it('list only the projects of a user', async () => {
    const { identity, demo, alt } = await service()
    await identity.accounts.setRoles(demo.user.id, alt.project.id, ['reader'])
    const names = async (id: string) => (await identity.accounts.projectsOf(id)).map(each => each.name).sort()
    expect(await names(demo.user.id)).toEqual(['alt', 'demo'])
    expect(await names(alt.user.id)).toEqual(['alt'])
    await identity.accounts.setRoles(demo.user.id, alt.project.id, [])
    expect(await names(demo.user.id)).toEqual(['demo'])
  })

  it('list more projects than fit a page', async () => {
    const { accounts } = (await service()).identity
    for (let n = 0; n < 450; n++) await accounts.createProject(`p${n}`)
    expect(await accounts.projects()).toHaveLength(453)
  })

  it('are seeded once, even concurrently, and keep an existing password', async () => {
    const { identity, demo } = await service()
    const seeds = [
      { user: 'demo', password: 'other', project: 'demo', roles: ['member', 'reader'] },
      { user: 'new', password: 'x', project: 'new', roles: ['member'] },
    ]
    const runs = await Promise.all([seedAccounts(identity.accounts, seeds), seedAccounts(identity.accounts, seeds)])
    expect(runs[0].map(({ user, project }) => ({ user, project }))).toEqual(
      runs[1].map(({ user, project }) => ({ user, project })),
    )
    expect(runs.flat().filter(({ created }) => created)).toHaveLength(1)
    expect(runs[0][0]).toEqual({ ...demo, created: false })
    expect(await identity.logins.byPassword({ name: 'demo' }, 'demo-password')).toMatchObject({ epoch: 1 })
    expect(await identity.logins.byPassword({ name: 'demo' }, 'other')).toBeUndefined()
    expect(await identity.accounts.projects()).toHaveLength(4)
  })
})
