import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { type AwsConnection, clientOptions, nameOf } from '../aws.ts'
import {
  BadChecksum,
  checkKey,
  checkPrefix,
  checkRange,
  NoSuchObject,
  type ObjectInfo,
  type Objects,
} from './objects.ts'

const MIB = 1024 * 1024
/** S3 takes 10,000 parts of at least 5 MiB: with these, 570 GiB. */
const FIRST_PART = 8 * MIB
const LATER_PART = 64 * MIB
const FIRST_PARTS = 1_000
const ANSWER_MS = 60_000
const LIST_MOST = 1_000
const MISSING = ['NoSuchKey', 'NotFound']

/** Objects in one bucket, which is there; their keys begin with `prefix` (such as `coffer/`). A part is held in memory. */
export function s3Objects(options: { connection: AwsConnection; bucket: string; prefix?: string }): Objects {
  const { connection, bucket: Bucket, prefix: above = '' } = options
  // Emulators have no host name for each bucket.
  const client = new S3Client({
    ...clientOptions(connection, ANSWER_MS),
    forcePathStyle: connection.endpoint !== undefined,
  })

  const named = (key: string) => ({ Bucket, Key: above + key })

  /** A content that did not fit one part. On any failure nothing is left of it. */
  async function multipart(key: string, parts: AsyncIterable<Uint8Array>, verified: () => void): Promise<void> {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(named(key)))
    try {
      const Parts: { PartNumber: number; ETag: string }[] = []
      for await (const Body of parts) {
        const PartNumber = Parts.length + 1
        const { ETag } = await client.send(new UploadPartCommand({ ...named(key), UploadId, PartNumber, Body }))
        Parts.push({ PartNumber, ETag: ETag! })
      }
      verified()
      await client.send(new CompleteMultipartUploadCommand({ ...named(key), UploadId, MultipartUpload: { Parts } }))
    } catch (error) {
      await client.send(new AbortMultipartUploadCommand({ ...named(key), UploadId })).catch(() => undefined)
      throw error
    }
  }

  async function put(key: string, content: AsyncIterable<Uint8Array>, { checksum }: { checksum?: string } = {}) {
    checkKey(key)
    const sum = summed(content)
    const verified = () => {
      if (checksum !== undefined && checksum !== sum.checksum())
        throw new BadChecksum(`${key} has the SHA-256 ${sum.checksum()}, not ${checksum}`)
    }
    const parts = partsOf(sum.content)
    const first = await parts.next()
    const second = await parts.next()
    if (second.done) {
      verified()
      await client.send(new PutObjectCommand({ ...named(key), Body: first.done ? new Uint8Array() : first.value }))
    } else {
      await multipart(key, following([first.value!, second.value], parts), verified)
    }
    return { size: sum.size(), checksum: sum.checksum() }
  }

  async function list(prefix: string, { after, limit }: { after?: string; limit: number }): Promise<ObjectInfo[]> {
    checkPrefix(prefix)
    const { Contents = [] } = await client.send(
      new ListObjectsV2Command({
        Bucket,
        Prefix: above + prefix,
        MaxKeys: Math.min(limit, LIST_MOST),
        ...(after && { StartAfter: above + after }),
      }),
    )
    return Contents.map(({ Key, Size, LastModified }) => ({
      key: Key!.slice(above.length),
      size: Size ?? 0,
      modified: LastModified?.getTime() ?? 0,
    }))
  }

  return {
    put,
    async get(key, range = { from: 0 }) {
      checkKey(key)
      checkRange(range)
      const { from, to } = range
      const Range = from > 0 || to !== undefined ? `bytes=${from}-${to === undefined ? '' : to - 1}` : undefined
      try {
        const { Body } = await client.send(new GetObjectCommand({ ...named(key), ...(Range && { Range }) }))
        if (!(Body instanceof Readable)) throw new Error('not a stream of Node.js')
        return Body
      } catch (error) {
        if (MISSING.includes(nameOf(error))) throw new NoSuchObject(key)
        if (nameOf(error) === 'InvalidRange') return Readable.from([])
        throw error
      }
    },
    async head(key) {
      checkKey(key)
      try {
        const { ContentLength, LastModified } = await client.send(new HeadObjectCommand(named(key)))
        return { key, size: ContentLength ?? 0, modified: LastModified?.getTime() ?? 0 }
      } catch (error) {
        if (MISSING.includes(nameOf(error))) return undefined
        throw error
      }
    },
    list,
    async delete(key) {
      checkKey(key)
      await client.send(new DeleteObjectCommand(named(key)))
    },
    async deletePrefix(prefix) {
      if (prefix === '') throw new RangeError('an empty prefix')
      let count = 0
      for (let after = ''; ; ) {
        const found = await list(prefix, { after, limit: LIST_MOST })
        if (found.length === 0) return count
        const Objects = found.map(({ key }) => ({ Key: above + key }))
        const { Errors = [] } = await client.send(
          new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }),
        )
        if (Errors[0]) throw new Error(`${Errors.length} objects were not deleted: ${Errors[0].Code}`)
        count += found.length
        after = found.at(-1)!.key
      }
    },
    close: async () => client.destroy(),
  }
}

/** The content, with its sum and size once it has passed. */
function summed(content: AsyncIterable<Uint8Array>) {
  const hash = createHash('sha256')
  let size = 0
  let digest: string | undefined
  async function* passing() {
    for await (const piece of content) {
      hash.update(piece)
      size += piece.length
      yield piece
    }
  }
  const checksum = () => {
    digest ??= hash.digest('hex')
    return digest
  }
  return { content: passing(), size: () => size, checksum }
}

/** The content in parts that S3 takes: all but the last are full. */
async function* partsOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, undefined> {
  let [pieces, length, count]: [Uint8Array[], number, number] = [[], 0, 0]
  for await (const whole of content) {
    for (let piece = whole; piece.length > 0; ) {
      const room = (count < FIRST_PARTS ? FIRST_PART : LATER_PART) - length
      // A copy: whoever gives the pieces may write on them again.
      pieces.push(Buffer.from(piece.subarray(0, room)))
      length += Math.min(piece.length, room)
      if (piece.length < room) break
      yield Buffer.concat(pieces)
      piece = piece.subarray(room)
      ;[pieces, length, count] = [[], 0, count + 1]
    }
  }
  if (length > 0) yield Buffer.concat(pieces)
  return undefined
}

async function* following(first: Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* first
  yield* rest
}
