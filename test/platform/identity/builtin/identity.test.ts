import { identityCases } from '../../../cases/identity.ts'
import { claimsOf, service } from '../../../keystone/service.ts'

identityCases('builtin', async () => {
  const { identity, demo, clock } = await service()
  const other = await service({ key: 2 })
  const roles = ['member', 'reader']
  const issue = async () => {
    const { token, claims } = await identity.tokens.issue(claimsOf(demo, roles))
    return { token, expires: claims.expires }
  }
  return {
    identity,
    caller: { user: demo.user, project: demo.project, roles },
    token: issue,
    async unscoped() {
      const { project: _, ...claims } = claimsOf(demo, roles)
      return (await identity.tokens.issue(claims)).token
    },
    foreign: async () => (await other.identity.tokens.issue(claimsOf(other.demo, roles))).token,
    async revoke(token) {
      const claims = await identity.tokens.read(token)
      if (claims) await identity.tokens.revoke(claims)
    },
    moveTo: time => clock.advance(time - clock.now()),
  }
})
