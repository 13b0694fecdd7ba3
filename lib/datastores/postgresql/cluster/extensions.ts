import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../../../kit/os/files.ts'
import { TRUSTED_EXTENSIONS } from '../rules/administrator.ts'
import { unlessMissing } from './files.ts'

/** Changes with the list. */
export const TRUST_REVISION = `trusted:${TRUSTED_EXTENSIONS.map(({ name, from }) => `${name}-${from}`).join()}`

/**
 * Makes the extensions of the list trusted in a copy of an engine: whoever may create in a database can install them. One
 * whose version in this engine is older than the list says stays as it is.
 */
export async function trustExtensions(engine: string): Promise<void> {
  for (const { name, from } of TRUSTED_EXTENSIONS) {
    const path = join(engine, 'share', 'postgresql', 'extension', `${name}.control`)
    const control = await unlessMissing(readFile(path, 'utf8'))
    if (control === undefined || Number(settingOf(control, 'default_version')) < from) continue
    if (settingOf(control, 'trusted') === undefined)
      await replaceFile(path, `${control.trimEnd()}\ntrusted = true\n`, { mode: 0o644 })
  }
}

/** A setting of a control file, without quotes. */
function settingOf(control: string, name: string): string | undefined {
  const line = control.split('\n').find(text => text.split('=')[0]?.trim() === name)
  return line
    ?.slice(line.indexOf('=') + 1)
    .replaceAll("'", '')
    .trim()
}
