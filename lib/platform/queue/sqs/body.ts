/** Characters that SQS refuses: all that XML 1.0 cannot hold. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const UNSUPPORTED = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/u

const BASE64_PREFIX = 'base64:'
const MAX_BODY_BYTES = 256 * 1024

/** The text as a body that SQS accepts, in base64 where needed. Throws RangeError for more than 256 KiB of UTF-8. */
export function encodeSqsBody(text: string): string {
  if (text.length * 3 > MAX_BODY_BYTES && Buffer.byteLength(text) > MAX_BODY_BYTES)
    throw new RangeError(`a message's body is at most ${MAX_BODY_BYTES} bytes`)
  const plain = text !== '' && !text.startsWith(BASE64_PREFIX) && !UNSUPPORTED.test(text)
  return plain ? text : BASE64_PREFIX + Buffer.from(text).toString('base64')
}

export function decodeSqsBody(body: string): string {
  return body.startsWith(BASE64_PREFIX) ? Buffer.from(body.slice(BASE64_PREFIX.length), 'base64').toString() : body
}

/** Splits entries into SQS's batches: at most ten, and at most 256 KiB unless one entry alone is larger; in order. */
export function batches<T>(entries: T[], bytes: (entry: T) => number): T[][] {
  const result: T[][] = []
  let size = 0
  for (const entry of entries) {
    const last = result.at(-1)
    size += bytes(entry)
    if (last && last.length < 10 && size <= MAX_BODY_BYTES) {
      last.push(entry)
    } else {
      result.push([entry])
      size = bytes(entry)
    }
  }
  return result
}
