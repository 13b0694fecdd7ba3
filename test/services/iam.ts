import { createHash, createHmac } from 'node:crypto'

const REGION = 'us-east-1'

/** One call of IAM's query protocol as the account's root, signed by Signature Version 4. Throws what IAM says is wrong. */
export async function iam(endpoint: string, parameters: Record<string, string>): Promise<void> {
  const body = new URLSearchParams({ Version: '2010-05-08', ...parameters }).toString()
  const at = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const { host } = new URL(endpoint)
  const headers = { 'content-type': 'application/x-www-form-urlencoded', host, 'x-amz-date': at }
  const signed = Object.keys(headers).join(';')
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`)
  const request = ['POST', '/', '', lines.join(''), signed, sha256(body)].join('\n')
  const scope = `${at.slice(0, 8)}/${REGION}/iam/aws4_request`
  const key = scope.split('/').reduce<string | Buffer>((secret, part) => hmac(secret, part), 'AWS4test')
  const signature = hmac(key, ['AWS4-HMAC-SHA256', at, scope, sha256(request)].join('\n')).toString('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=test/${scope}, SignedHeaders=${signed}, Signature=${signature}`
  const answer = await fetch(endpoint, { method: 'POST', headers: { ...headers, authorization }, body })
  if (!answer.ok) throw new Error(await answer.text())
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
