import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, expect } from '@jest/globals'
import { s3Objects } from '../../lib/platform/objects/s3/objects.ts'
import { objectsCases } from '../cases/objects.ts'
import { type Ministack, startMinistack } from './ministack.ts'

let aws: Ministack
let count = 0
beforeAll(async () => {
  aws = await startMinistack()
})
afterAll(() => aws?.stop())

objectsCases(
  'S3 objects on ministack',
  async () => {
    const { connection } = aws
    const client = new S3Client({ ...connection, forcePathStyle: true })
    const bucket = `coffer-${++count}`
    await client.send(new CreateBucketCommand({ Bucket: bucket }))
    const objects = s3Objects({ connection, bucket, prefix: 'below/', partBytes: 8 * 1024 * 1024 })
    return {
      objects,
      async close() {
        const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
        client.destroy()
        await objects.close()
        expect(Uploads).toEqual([])
      },
    }
  },
  60_000,
)
