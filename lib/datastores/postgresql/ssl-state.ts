import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { SslState } from '../driver.ts'
import { layout } from './engine.ts'
import { textOf } from './files.ts'
import type { Settings } from './settings.ts'

/** What was chosen for a volume, and what was chosen before that. */
export interface KeptState extends SslState {
  before?: SslState
  /** It was gone back to. */
  again?: boolean
}

/** TLS is offered until something else is chosen. */
const AT_FIRST: KeptState = { status: 'on', mode: 'basic' }

export async function sslState(volume: string): Promise<KeptState> {
  const text = await textOf(layout(volume).ssl)
  return text === undefined ? AT_FIRST : JSON.parse(text)
}

/** The settings that put TLS into use; none while it is off, or there is no certificate: the server would not start. */
export async function sslSettings(volume: string): Promise<Settings> {
  const { status } = await sslState(volume)
  if (status === 'off' || !(await fits(volume))) return {}
  return {
    ssl: 'on',
    // Relative to the data directory.
    ssl_cert_file: '../server.crt',
    ssl_key_file: '../server.key',
    ssl_min_protocol_version: 'TLSv1.2',
    // For TLS 1.2; all of 1.3 are of this kind.
    ssl_ciphers: 'ECDHE+AESGCM:ECDHE+CHACHA20',
  }
}

/** Whether there is a certificate, for the key that is there. */
async function fits(volume: string): Promise<boolean> {
  const { certificate, tlsKey } = layout(volume)
  const [served, key] = await Promise.all([textOf(certificate), textOf(tlsKey)])
  try {
    return Boolean(served && key && new X509Certificate(served).checkPrivateKey(createPrivateKey(key)))
  } catch {
    return false
  }
}
