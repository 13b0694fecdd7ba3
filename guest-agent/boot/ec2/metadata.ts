const TOKEN_SECONDS = '60'
const ANSWER_MS = 5_000

/** Reads the metadata service (IMDSv2) at this address; undefined for a path that it does not have. */
export function metadataOf(base: string): (path: string) => Promise<string | undefined> {
  const send = (path: string, method: string, headers: Record<string, string>) =>
    fetch(`${base}/latest/${path}`, { method, headers, signal: AbortSignal.timeout(ANSWER_MS) })
  return async path => {
    const token = await send('api/token', 'PUT', { 'X-aws-ec2-metadata-token-ttl-seconds': TOKEN_SECONDS })
    if (!token.ok) throw new Error(`the metadata service gave no token: ${token.status}`)
    const answer = await send(`meta-data/${path}`, 'GET', { 'X-aws-ec2-metadata-token': await token.text() })
    if (answer.status === 404) return undefined
    if (!answer.ok) throw new Error(`the metadata service answered ${answer.status}`)
    return answer.text()
  }
}
