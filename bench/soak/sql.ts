import pg from 'pg'
import { endpointOf } from '../../test/e2e/api-helpers.ts'
import type { Answer } from '../../test/e2e/coffer.ts'

export interface Login {
  user: string
  password: string
  database: string
}

const CONNECT_MS = 10_000
const QUERY_MS = 20_000

/**
 * Runs statements over TLS, with a certificate of this authority; in clear text if the database offers no TLS. Resolves
 * to the rows of the last one.
 */
export async function runSql(
  instance: Answer['body'],
  login: Login,
  ca: string,
  statements: string[],
): Promise<Record<string, unknown>[]> {
  const client = await connect(instance, login, ca).catch(error => {
    if (!/does not support SSL/.test(String(error))) throw error
    return connect(instance, login)
  })
  try {
    let rows: Record<string, unknown>[] = []
    for (const text of statements) rows = (await client.query(text)).rows
    return rows
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function connect(instance: Answer['body'], login: Login, ca?: string): Promise<pg.Client> {
  const client = new pg.Client({
    ...endpointOf(instance),
    ...login,
    ...(ca !== undefined && { ssl: { ca } }),
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: QUERY_MS,
  })
  client.on('error', () => undefined)
  await client.connect()
  return client
}
