import { createHash, createHmac } from 'node:crypto'
import { timestampZ } from '../../../kit/time.ts'
import type { AwsCredentials } from '../../aws.ts'

export interface Presigned {
  /** Of the bucket: `https://<bucket>.s3.<region>.amazonaws.com`, or with the bucket as its path. */
  base: string
  /** Letters, digits, `-._/`. */
  key: string
  region: string
  credentials: AwsCredentials
  /** Milliseconds since the epoch. */
  at: number
  seconds: number
}

/** An address by which anybody can read the object for a while (Signature Version 4); it ends with its signer's credentials too. */
export function presigned({ base, key, region, credentials, at, seconds }: Presigned): string {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials
  const url = new URL(`${base}/${key}`)
  const when = stamp(at)
  const scope = `${when.slice(0, 8)}/${region}/s3/aws4_request`
  const query = {
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${accessKeyId}/${scope}`,
    'X-Amz-Date': when,
    'X-Amz-Expires': String(seconds),
    ...(sessionToken && { 'X-Amz-Security-Token': sessionToken }),
    'X-Amz-SignedHeaders': 'host',
  }
  const text = Object.entries(query)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&')
  const request = ['GET', url.pathname, text, `host:${url.host}\n`, 'host', 'UNSIGNED-PAYLOAD'].join('\n')
  const signingKey = scope
    .split('/')
    .reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${secretAccessKey}`)
  const signed = ['AWS4-HMAC-SHA256', when, scope, createHash('sha256').update(request).digest('hex')].join('\n')
  return `${url.href}?${text}&X-Amz-Signature=${hmac(signingKey, signed).toString('hex')}`
}

const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()

/** `20130524T000000Z`. */
const stamp = (at: number) => timestampZ(at).replace(/[-:]/g, '')
