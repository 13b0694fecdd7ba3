import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { getBuiltinModule } from 'node:process'
import { text } from 'node:stream/consumers'

/**
 * Posts JSON and answers the JSON that came back. Throws for any status but 200, and when there is no answer within `ms`.
 * `fetch`, and an import of node:http too (it evaluates all its exports, WebSocket among them), would load undici: some
 * ten megabytes kept for a message an hour.
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
  if (response.statusCode !== 200) throw new Error(`answered ${response.statusCode}`)
  return JSON.parse(answer)
}
