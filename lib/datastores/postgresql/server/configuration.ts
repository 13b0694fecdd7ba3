import { chown, mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { type Owner, replaceFile } from '../../../kit/os/files.ts'
import type { DriverContext } from '../../driver.ts'
import { clusterPaths, readMajor } from '../cluster/cluster.ts'
import { readText } from '../cluster/files.ts'
import { configText, lockedSettings, settingsFor } from '../rules/settings.ts'
import { hbaText, isOurs, withAgentLines } from './hba.ts'
import { readTlsState, tlsSettings } from './tls-state.ts'

const INCLUDE = "include 'coffer.conf'"

/** Writes the server's configuration files for the flavor, the engine and the state of TLS. One call at a time. */
export async function writeConfiguration(context: DriverContext): Promise<void> {
  const { volume, owner } = context
  const { data } = clusterPaths(volume)
  const major = await readMajor(volume)
  const isSuperuser = context.root === 'superuser'
  const locked = isSuperuser ? {} : lockedSettings(await realpath(data), major)
  // The agent's sessions set it for themselves.
  const limits = context.isReadOnly ? { default_transaction_read_only: 'on' } : {}
  const settings = { ...settingsFor(context, major), ...limits, ...(await tlsSettings(volume)), ...locked }
  await replaceFile(join(data, 'coffer.conf'), configText(settings), { owner })
  if (major < 17 || !isSuperuser) await discardAlterSystem(data, owner)
  if (major < 17) await forbidAlterSystem(data, owner)
  await includeSettings(data, owner)
  const hba = join(data, 'pg_hba.conf')
  const current = await readText(hba)
  // Rules that were written as users' hosts changed stay over restarts.
  const rules = current !== undefined && isOurs(current) ? current : hbaText([])
  const text = withAgentLines(rules, (await readTlsState(volume)).mode === 'enforced')
  if (text !== current) await replaceFile(hba, text, { owner })
}

async function includeSettings(data: string, owner?: Owner): Promise<void> {
  const main = join(data, 'postgresql.conf')
  const text = (await readText(main)) ?? ''
  if (!text.endsWith(`${INCLUDE}\n`)) await replaceFile(main, `${text}\n${INCLUDE}\n`, { owner })
}

/** Discards what ALTER SYSTEM or a program wrote: it would outrank Coffer's settings. */
async function discardAlterSystem(data: string, owner?: Owner): Promise<void> {
  await replaceFile(join(data, 'postgresql.auto.conf'), '# Not used.\n', { owner })
}

/** Before 17 there is no setting for it: a folder stands where ALTER SYSTEM writes its draft, so that it fails. */
async function forbidAlterSystem(data: string, owner?: Owner): Promise<void> {
  const path = join(data, 'postgresql.auto.conf')
  await mkdir(`${path}.tmp`, { recursive: true, mode: 0o700 })
  if (owner) await chown(`${path}.tmp`, owner.uid, owner.gid)
}
