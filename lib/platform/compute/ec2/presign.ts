import type { EC2Client } from '@aws-sdk/client-ec2'
import { S3RequestPresigner } from '@aws-sdk/s3-request-presigner'
import { toDate } from '../../../kit/time.ts'

interface PresignOptions {
  /** Of the bucket: `https://<bucket>.s3.<region>.amazonaws.com`, or with the bucket as its path. */
  base: string
  /** Letters, digits, `-._/`. */
  key: string
  /** Settings of an SDK client of any service: a client of S3 would add 200 KB to the functions' bundles. */
  signer: Pick<EC2Client['config'], 'region' | 'credentials' | 'sha256'>
  /** Milliseconds since the epoch. */
  signedAt: number
  seconds: number
}

/** The payload's hash is no header of the request, so that `curl` needs to send none. */
const HASH_HEADER = 'x-amz-content-sha256'

/** A URL by which anybody can read the object for a while; it also expires with the credentials of its signer. */
export async function presignUrl({ base, key, signer, signedAt, seconds }: PresignOptions): Promise<string> {
  const { region, credentials, sha256 } = signer
  const { href, protocol, hostname, port, pathname } = new URL(`${base}/${key}`)
  const presigner = new S3RequestPresigner({ region, credentials, sha256 })
  const { query = {} } = await presigner.presign(
    {
      ...{ method: 'GET', protocol, hostname, path: pathname, headers: {} },
      ...(port !== '' && { port: Number(port) }),
    },
    {
      signingDate: toDate(signedAt),
      expiresIn: seconds,
      unhoistableHeaders: new Set([HASH_HEADER]),
      unsignableHeaders: new Set([HASH_HEADER]),
    },
  )
  const parameters = Object.entries(query).map(([name, value]): [string, string] => [name, String(value)])
  return `${href}?${new URLSearchParams(parameters)}`
}
