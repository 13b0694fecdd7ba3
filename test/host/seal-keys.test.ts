import { describe, expect, it } from '@jest/globals'
import { hostSealKeys } from '../../host/seal-keys.ts'
import { derivedKeys } from '../../lib/kit/crypto/keys.ts'
import { derivedSealKeys, machineSealKeys, readEnvelope, sealer } from '../../lib/kit/crypto/seal.ts'
import { silentLog } from '../kit/random.ts'
import { masterKey, secretsOf } from '../kit/secrets.ts'

const header = { subject: 'host:a', generation: 0, kind: 'cast', id: '1', expires: 9_999 } as const

describe("a host daemon's keys", () => {
  const masters = [masterKey('k1', 1)]
  const keys = derivedKeys(secretsOf(masters))
  const control = sealer(derivedSealKeys(keys))
  const accessOf = async (kid: string) => ({ kid, keys: await machineSealKeys(keys, kid, 'host:a', 0) })

  it('are those of its file as it is now, and of the time before', async () => {
    let access = await accessOf('k1')
    const host = sealer(
      hostSealKeys(() => {
        if (access.kid === 'none') throw new SyntaxError('half written')
        return access
      }, silentLog),
    )
    const early = readEnvelope(await control.seal({ ...header, direction: 'down' }, 'early'))
    masters.push(masterKey('k2', 2))
    const message = readEnvelope(await control.seal({ ...header, direction: 'down' }, 'new'))
    // Its launcher has not written the file yet: the message is dropped, and sent again by whoever waits.
    await expect(host.open(message)).rejects.toThrow(/cannot open/)
    access = await accessOf('k2')
    expect(await host.open(message)).toBe('new')
    expect(await host.open(early)).toBe('early')
    access = { ...access, kid: 'none' }
    const report = readEnvelope(await host.seal({ ...header, direction: 'up' }, 'report'))
    expect(report.kid).toBe('k2')
    expect(await control.open(report)).toBe('report')
  })
})
