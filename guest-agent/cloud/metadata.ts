const SECONDS = '60'
const ANSWER_MS = 5_000

/** What the metadata service (IMDSv2) at this address tells of the machine; undefined for what it knows nothing of. */
export function metadataOf(base: string): (path: string) => Promise<string | undefined> {
  const ask = (path: string, method: string, headers: Record<string, string>) =>
    fetch(`${base}/latest/${path}`, { method, headers, signal: AbortSignal.timeout(ANSWER_MS) })
  return async path => {
    const token = await ask('api/token', 'PUT', { 'X-aws-ec2-metadata-token-ttl-seconds': SECONDS })
    if (!token.ok) throw new Error(`the metadata service gave no token: ${token.status}`)
    const answer = await ask(`meta-data/${path}`, 'GET', { 'X-aws-ec2-metadata-token': await token.text() })
    if (answer.status === 404) return undefined
    if (!answer.ok) throw new Error(`the metadata service answered ${answer.status}`)
    return answer.text()
  }
}
