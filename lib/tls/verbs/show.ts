import { X509Certificate } from 'node:crypto'
import { openAvailableInstance } from '../../agents/open-instance.ts'
import type { Call, Reply } from '../../kit/http/route.ts'
import { timestamp } from '../../kit/time.ts'
import type { Platform } from '../../platform/platform.ts'

/** `GET …/ssl`; with `include_certificate`, the certificate itself too. */
export async function showTls(call: Call<unknown, Platform>): Promise<Reply> {
  const { agent } = await openAvailableInstance(call, 'tls', 'ssl_show')
  const { status, mode, certificate: pem, ca } = await agent.ssl_show({})
  const include = call.query['include_certificate']
  const includePem = include !== undefined && !/^(false|0|no)$/i.test(include)
  const certificate = status === 'on' && pem !== undefined && certificateView(pem, ca, includePem)
  return { status: 200, body: { ssl: { status, mode, ...(certificate && { certificate }) } } }
}

function certificateView(pem: string, ca: string | undefined, includePem: boolean) {
  const certificate = new X509Certificate(pem)
  return {
    cn: /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? '',
    expire_at: timestamp(certificate.validToDate.getTime()),
    san: alternativeNames(certificate),
    ...(includePem && { payload: `${pem}${ca ?? ''}` }),
  }
}

/** `DNS:a, IP Address:b` as a list of names. */
const alternativeNames = ({ subjectAltName = '' }: X509Certificate) =>
  subjectAltName.split(', ').map(name => name.slice(name.indexOf(':') + 1))
