import { createHash, createHmac } from 'node:crypto'

const REGION = 'us-east-1'

/** A call of an AWS service by its query protocol (`form`), its JSON protocol (`target` and `json`), or by a path. */
export interface AwsCall {
  service: string
  method?: 'GET' | 'POST'
  path?: string
  form?: Record<string, string>
  target?: string
  json?: unknown
}

/** Makes a call as the account's root, signed by Signature Version 4. Returns the answer; throws for an error. */
export async function callAws(endpoint: string, call: AwsCall): Promise<string> {
  const { service, form, target, json, method = form || target ? 'POST' : 'GET', path = '/' } = call
  const body = form ? new URLSearchParams(form).toString() : json === undefined ? '' : JSON.stringify(json)
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const { host } = new URL(endpoint)
  const headers: Record<string, string> = {
    'content-type': form ? 'application/x-www-form-urlencoded' : 'application/x-amz-json-1.1',
    host,
    'x-amz-date': date,
    ...(target && { 'x-amz-target': target }),
  }
  const names = Object.keys(headers).join(';')
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`)
  const [pathname = '/', query = ''] = path.split('?')
  const request = [method, pathname, query, lines.join(''), names, sha256(body)].join('\n')
  const scope = `${date.slice(0, 8)}/${REGION}/${service}/aws4_request`
  const key = scope.split('/').reduce<string | Buffer>((secret, part) => hmac(secret, part), 'AWS4test')
  const signature = hmac(key, ['AWS4-HMAC-SHA256', date, scope, sha256(request)].join('\n')).toString('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=test/${scope}, SignedHeaders=${names}, Signature=${signature}`
  const answer = await fetch(endpoint + path, {
    method,
    headers: { ...headers, authorization },
    ...(method === 'POST' && { body }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${service} ${target ?? form?.['Action'] ?? path}: ${answer.status} ${text}`)
  return text
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()

/** Calls IAM. */
export const callIam = (endpoint: string, parameters: Record<string, string>): Promise<string> =>
  callAws(endpoint, { service: 'iam', form: { Version: '2010-05-08', ...parameters } })
