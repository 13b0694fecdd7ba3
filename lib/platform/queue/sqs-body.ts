/** What of a text SQS does not take as it is: all that XML 1.0 cannot hold. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones meant
const FOREIGN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/u

const MARK = 'base64:'
export const MAX_BODY_BYTES = 256 * 1024

/** The text as a body that SQS takes. Throws RangeError for more than 256 KiB of UTF-8. */
export function packed(text: string): string {
  if (text.length * 3 > MAX_BODY_BYTES && Buffer.byteLength(text) > MAX_BODY_BYTES)
    throw new RangeError(`a message's body is at most ${MAX_BODY_BYTES} bytes`)
  const plain = text !== '' && !text.startsWith(MARK) && !FOREIGN.test(text)
  return plain ? text : MARK + Buffer.from(text).toString('base64')
}

export function unpacked(body: string): string {
  return body.startsWith(MARK) ? Buffer.from(body.slice(MARK.length), 'base64').toString() : body
}

/** Parts of at most ten, and of at most 256 KiB together unless one alone has more; in order. */
export function batches<T>(entries: T[], bytes: (entry: T) => number): T[][] {
  const parts: T[][] = []
  let size = 0
  for (const entry of entries) {
    const last = parts.at(-1)
    size += bytes(entry)
    if (last && last.length < 10 && size <= MAX_BODY_BYTES) {
      last.push(entry)
    } else {
      parts.push([entry])
      size = bytes(entry)
    }
  }
  return parts
}
