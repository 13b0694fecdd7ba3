import { EC2Client } from '@aws-sdk/client-ec2'
import { describe, expect, it } from '@jest/globals'
import { presignUrl } from '../../../../lib/platform/compute/ec2/presign.ts'

describe('a presigned URL', () => {
  // The example of AWS's documentation, "Authenticating Requests: Using Query Parameters".
  const credentials = {
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  }
  const example = (session: { sessionToken?: string } = {}) => ({
    base: 'https://examplebucket.s3.amazonaws.com',
    key: 'test.txt',
    signer: new EC2Client({ region: 'us-east-1', credentials: { ...credentials, ...session } }).config,
    signedAt: Date.UTC(2013, 4, 24),
    seconds: 86_400,
  })

  it("equals that of AWS's own example", async () => {
    expect(await presignUrl(example())).toBe(
      'https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256' +
        '&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z' +
        '&X-Amz-Expires=86400&X-Amz-SignedHeaders=host' +
        '&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
    )
  })

  it('includes the session token of its signer in what is signed', async () => {
    const url = await presignUrl(example({ sessionToken: 'a/b=' }))
    expect(url).toContain('X-Amz-Security-Token=a%2Fb%3D&')
    expect(url).toContain('&X-Amz-SignedHeaders=host&')
    expect(url).not.toContain('aeeed9bbccd4d02e')
  })

  it('keeps the port and the path of an emulator', async () => {
    const url = await presignUrl({ ...example(), base: 'http://127.0.0.1:4566/bucket', key: 'agent/agent.tar.gz' })
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:4566\/bucket\/agent\/agent\.tar\.gz\?X-Amz-Algorithm=/)
  })
})
