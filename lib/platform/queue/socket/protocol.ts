import type { Socket } from 'node:net'
import { z } from 'zod'
import type { Message } from '../../../ports/queue.ts'

/** The most bytes of a frame: one line of JSON, not counting its line feed. */
const MAX_FRAME_BYTES = 1024 * 1024
/** Bodies with more characters than this travel as base64. */
const LONG_BODY = 64 * 1024

const id = z.int()
const topic = z.string()
const receipts = z.array(z.string())
const ms = z.number().min(0)
const outgoing = z.object({
  body: z.string(),
  delayMs: z.number().exactOptional(),
  base64: z.boolean().exactOptional(),
})

export const requests = z.discriminatedUnion('op', [
  z.object({ id, op: z.literal('auth'), token: z.string() }),
  z.object({ id, op: z.literal('receive'), topic, max: z.number(), waitMs: ms }),
  z.object({ id, op: z.literal('cancel'), of: id }),
  z.object({ id, op: z.literal('send'), topic, messages: z.array(outgoing) }),
  z.object({ id, op: z.literal('ack'), topic, receipts }),
  z.object({ id, op: z.literal('extend'), topic, receipt: z.string(), ms }),
  z.object({ id, op: z.literal('release'), topic, receipts, delayMs: ms }),
  z.object({ id, op: z.enum(['declare', 'remove']), topic }),
])
/** A request with the `id` that its reply repeats. */
export type NumberedRequest = z.infer<typeof requests>
export type RequestOf<Op extends NumberedRequest['op']> = Extract<NumberedRequest, { op: Op }>

/** A request without its `id`. */
export type Request = NumberedRequest extends infer Each
  ? Each extends NumberedRequest
    ? Omit<Each, 'id'>
    : never
  : never

/** The server's reply; `more` = another frame with messages follows; `expired` = a new token would help. */
export interface Reply {
  messages?: WireMessage<Message>[]
  more?: boolean
  error?: { name: string; message: string; expired?: boolean }
}

/** A message on the wire; with `base64`, its body is encoded. */
export type WireMessage<T extends { body: string }> = T & { base64?: boolean }

/** Splits messages into frames. A long body travels as base64, since JSON can turn one byte into six. */
export function encodeFrames<T extends { body: string }>(messages: T[]): WireMessage<T>[][] {
  const frames: WireMessage<T>[][] = [[]]
  let room = MAX_FRAME_BYTES
  for (const message of messages) {
    const isLong = message.body.length > LONG_BODY
    const encoded = isLong ? { ...message, body: Buffer.from(message.body).toString('base64'), base64: true } : message
    const maxBytes = 1024 + encoded.body.length * (isLong ? 1 : 6)
    if (maxBytes > room) {
      frames.push([])
      room = MAX_FRAME_BYTES
    }
    room -= maxBytes
    frames.at(-1)!.push(encoded)
  }
  return frames
}

/** The message as it was before `encodeFrames`. */
export function decodeMessage<T extends { body: string }>({
  base64,
  ...message
}: WireMessage<T>): Omit<WireMessage<T>, 'base64'> {
  return base64 ? { ...message, body: Buffer.from(message.body, 'base64').toString() } : message
}

/** Splits a stream into lines for `onLine`; destroys the socket if a line is too long or `onLine` throws. */
export function readLines(socket: Socket, onLine: (line: string) => void): void {
  let parts: Buffer[] = []
  let size = 0
  socket.on('data', (chunk: Buffer) => {
    try {
      for (let rest: Buffer | undefined = chunk; rest && !socket.destroyed; ) {
        const end: number = rest.indexOf(10)
        parts.push(end < 0 ? rest : rest.subarray(0, end))
        size += parts.at(-1)!.length
        if (size > MAX_FRAME_BYTES) throw new RangeError('a frame is too long')
        rest = end < 0 ? undefined : rest.subarray(end + 1)
        if (!rest) return
        const line = Buffer.concat(parts).toString()
        parts = []
        size = 0
        onLine(line)
      }
    } catch (error) {
      socket.destroy(error as Error)
    }
  })
}
