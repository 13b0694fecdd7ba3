import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { getBuiltinModule } from 'node:process'
import { text } from 'node:stream/consumers'

/**
 * Posts JSON and returns the JSON of the answer. Throws for any status but 200, and if there is no answer within `ms`.
 * `fetch`, or an import of node:http (which evaluates all its exports, WebSocket among them), would load undici: some
 * ten megabytes for one message an hour.
 */
export async function postJson(url: string, body: unknown, ms: number): Promise<unknown> {
  const secure = new URL(url).protocol === 'https:'
  const send = secure ? getBuiltinModule('node:https').request : getBuiltinModule('node:http').request
  const headers = { 'content-type': 'application/json' }
  const request = send(url, { method: 'POST', headers, agent: false, signal: AbortSignal.timeout(ms) })
  request.end(JSON.stringify(body))
  const [response]: IncomingMessage[] = await once(request, 'response')
  if (!response) throw new Error('no answer')
  const answer = await text(response)
  if (response.statusCode !== 200) throw new Error(`the answer's status is ${response.statusCode}`)
  return JSON.parse(answer)
}
