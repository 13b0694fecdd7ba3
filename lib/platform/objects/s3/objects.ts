import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import {
  BadChecksum,
  type ByteRange,
  checkKey,
  checkPrefix,
  checkRange,
  NoSuchObject,
  type ObjectInfo,
  type Objects,
  type PutOptions,
} from '../../../ports/objects.ts'
import { type AwsConnection, clientOptions, errorName } from '../../aws/connection.ts'

interface S3Options {
  connection: AwsConnection
  /** The bucket, which must exist. */
  bucket: string
  /** Goes before each key, such as `coffer/`; default none. */
  prefix?: string
  /** The size of an upload's parts, at least 5 MiB. S3 allows 10,000 parts; default 64 MiB, which is 625 GiB. */
  partBytes?: number
}

const PART_BYTES = 64 * 1024 * 1024
const ANSWER_MS = 60_000
const MAX_LIST = 1_000
const MISSING = ['NoSuchKey', 'NotFound']

/** Objects in one bucket. An upload holds up to two parts in memory. */
export function s3Objects(options: S3Options): Objects {
  return new S3Objects(options)
}

class S3Objects implements Objects {
  readonly #client: S3Client
  readonly #bucket: string
  readonly #prefix: string
  readonly #partBytes: number

  constructor({ connection, bucket, prefix = '', partBytes = PART_BYTES }: S3Options) {
    // Emulators have no host name for each bucket.
    const forcePathStyle = connection.endpoint !== undefined
    this.#client = new S3Client({ ...clientOptions(connection, ANSWER_MS), forcePathStyle })
    this.#bucket = bucket
    this.#prefix = prefix
    this.#partBytes = partBytes
  }

  async put(key: string, content: AsyncIterable<Uint8Array>, { checksum }: PutOptions = {}) {
    checkKey(key)
    const hashed = hashContent(key, content, checksum)
    const upload = new Upload({
      client: this.#client,
      params: { ...this.#address(key), Body: hashed.body },
      partSize: this.#partBytes,
      // One part at a time: each is held in memory.
      queueSize: 1,
    })
    try {
      await upload.done()
    } catch (error) {
      // The content's own error, not that of a failed abort of the upload.
      throw hashed.failure() ?? error
    }
    return hashed.result()
  }

  async get(key: string, range: ByteRange = { from: 0 }): Promise<AsyncIterable<Uint8Array>> {
    checkKey(key)
    checkRange(range)
    const { from, to } = range
    const Range = from > 0 || to !== undefined ? `bytes=${from}-${to === undefined ? '' : to - 1}` : undefined
    try {
      const request = new GetObjectCommand({ ...this.#address(key), ...(Range && { Range }) })
      const { Body } = await this.#client.send(request)
      if (!(Body instanceof Readable)) throw new Error('S3 did not return a Node.js stream')
      return Body
    } catch (error) {
      if (MISSING.includes(errorName(error))) throw new NoSuchObject(key)
      if (errorName(error) === 'InvalidRange') return Readable.from([])
      throw error
    }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key)
    try {
      const { ContentLength, LastModified } = await this.#client.send(new HeadObjectCommand(this.#address(key)))
      return { key, size: ContentLength ?? 0, modified: LastModified?.getTime() ?? 0 }
    } catch (error) {
      if (MISSING.includes(errorName(error))) return undefined
      throw error
    }
  }

  async list(prefix: string, { after, limit }: { after?: string; limit: number }): Promise<ObjectInfo[]> {
    checkPrefix(prefix)
    const { Contents = [] } = await this.#client.send(
      new ListObjectsV2Command({
        Bucket: this.#bucket,
        Prefix: this.#prefix + prefix,
        MaxKeys: Math.min(limit, MAX_LIST),
        ...(after && { StartAfter: this.#prefix + after }),
      }),
    )
    return Contents.map(({ Key, Size, LastModified }) => ({
      key: Key!.slice(this.#prefix.length),
      size: Size ?? 0,
      modified: LastModified?.getTime() ?? 0,
    }))
  }

  async delete(key: string): Promise<void> {
    checkKey(key)
    await this.#client.send(new DeleteObjectCommand(this.#address(key)))
  }

  async deletePrefix(prefix: string): Promise<number> {
    if (prefix === '') throw new RangeError('an empty prefix')
    let count = 0
    for (let after = ''; ; ) {
      const page = await this.list(prefix, { after, limit: MAX_LIST })
      if (page.length === 0) return count
      const Objects = page.map(({ key }) => ({ Key: this.#prefix + key }))
      const { Errors = [] } = await this.#client.send(
        new DeleteObjectsCommand({ Bucket: this.#bucket, Delete: { Objects, Quiet: true } }),
      )
      if (Errors[0]) throw new Error(`${Errors.length} objects were not deleted: ${Errors[0].Code}`)
      count += page.length
      after = page.at(-1)!.key
    }
  }

  async close(): Promise<void> {
    this.#client.destroy()
  }

  #address(key: string) {
    return { Bucket: this.#bucket, Key: this.#prefix + key }
  }
}

/** The content as a stream that ends with BadChecksum unless it has the expected checksum, which aborts the upload. */
function hashContent(key: string, content: AsyncIterable<Uint8Array>, expected: string | undefined) {
  const hash = createHash('sha256')
  let size = 0
  let checksum = ''
  let failure: unknown
  async function* pieces() {
    try {
      for await (const piece of content) {
        hash.update(piece)
        size += piece.length
        // A copy: the source may reuse its buffer for the next piece.
        yield Buffer.from(piece)
      }
      checksum = hash.digest('hex')
      if (expected !== undefined && expected !== checksum)
        throw new BadChecksum(`${key} has the SHA-256 ${checksum}, not ${expected}`)
    } catch (error) {
      failure = error
      throw error
    }
  }
  return { body: Readable.from(pieces()), failure: () => failure, result: () => ({ size, checksum }) }
}
