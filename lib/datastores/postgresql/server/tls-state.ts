import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { SslState } from '../../driver.ts'
import { clusterPaths } from '../cluster/cluster.ts'
import { readText } from '../cluster/files.ts'
import type { Settings } from '../rules/settings.ts'

/** The TLS mode of a volume, and the one before. */
export interface StoredTlsState extends SslState {
  before?: SslState
  /** This mode was restored by a rollback. */
  again?: boolean
}

/** TLS is offered until another mode is set. */
const DEFAULT_STATE: StoredTlsState = { status: 'on', mode: 'basic' }

export async function readTlsState(volume: string): Promise<StoredTlsState> {
  const text = await readText(clusterPaths(volume).ssl)
  return text === undefined ? DEFAULT_STATE : JSON.parse(text)
}

/**
 * The settings that turn TLS on; none while it is off or there is no certificate, with which the server would not
 * start.
 */
export async function tlsSettings(volume: string): Promise<Settings> {
  const { status } = await readTlsState(volume)
  if (status === 'off' || !(await hasCertificate(volume))) return {}
  return {
    ssl: 'on',
    // Relative to the data directory.
    ssl_cert_file: '../server.crt',
    ssl_key_file: '../server.key',
    ssl_min_protocol_version: 'TLSv1.2',
    // For TLS 1.2; every suite of 1.3 has forward secrecy.
    ssl_ciphers: 'ECDHE+AESGCM:ECDHE+CHACHA20',
  }
}

/** Whether there is a certificate for the volume's key. */
async function hasCertificate(volume: string): Promise<boolean> {
  const { certificate, tlsKey } = clusterPaths(volume)
  const [text, key] = await Promise.all([readText(certificate), readText(tlsKey)])
  try {
    return Boolean(text && key && new X509Certificate(text).checkPrivateKey(createPrivateKey(key)))
  } catch {
    return false
  }
}
