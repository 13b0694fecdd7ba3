import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type FauxqsServer, startFauxqs } from 'fauxqs'
import { s3Objects } from '../../../../lib/platform/objects/s3/objects.ts'
import { NoSuchObject } from '../../../../lib/ports/objects.ts'
import { objectsCases } from '../../../cases/objects.ts'

/** The smallest parts that S3 allows, so that the large contents of the tests have several. */
const PART_BYTES = 5 * 1024 * 1024

let server: FauxqsServer
let count = 0

beforeAll(async () => {
  server = await startFauxqs({ port: 0, logger: false, host: '127.0.0.1' })
})
afterAll(() => server.stop())

async function setUp() {
  const credentials = async () => ({ accessKeyId: 'test', secretAccessKey: 'test' })
  const connection = { region: 'us-east-1', endpoint: `http://127.0.0.1:${server.port}`, credentials }
  const client = new S3Client({ ...connection, forcePathStyle: true })
  const bucket = `coffer-${++count}`
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  const objects = s3Objects({ connection, bucket, prefix: 'below/', partBytes: PART_BYTES })
  const uploads = async () => (await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads ?? []
  return {
    objects,
    uploads,
    async close() {
      // No unfinished upload may be left behind: S3 charges for its parts.
      const unfinished = await uploads()
      client.destroy()
      await objects.close()
      expect(unfinished).toEqual([])
    },
  }
}

// The emulator lists keys in the order of a locale.
objectsCases('S3 objects on fauxqs', setUp, 30_000, { listings: false })

describe('an upload in parts', () => {
  async function* failing() {
    yield Buffer.alloc(2 * PART_BYTES)
    throw new Error('the source broke')
  }

  it('is aborted when its source fails after the first part', async () => {
    const { objects, close } = await setUp()
    await expect(objects.put('a', failing())).rejects.toThrow('the source broke')
    await expect(objects.get('a')).rejects.toThrow(NoSuchObject)
    await close()
  })
})
