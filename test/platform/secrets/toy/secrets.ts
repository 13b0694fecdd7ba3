import { link, readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Random } from '../../../../lib/kit/clock.ts'
import { codeOf } from '../../../../lib/kit/errors.ts'
import type { MasterKey, Secrets } from '../../../../lib/ports/secrets.ts'

const KEY_BYTES = 32
const FIRST = '1'

/**
 * Master keys in a folder, a file for each: its name is the key's id, and the highest number is the current one. The
 * first is created at the first use. A backend as docs/how-to-add-a-backend.md makes one.
 */
export function folderSecrets(folder: string, random: Random): Secrets {
  const read = async (id: string): Promise<MasterKey> => ({
    id,
    bytes: new Uint8Array(Buffer.from(await readFile(join(folder, id), 'utf8'), 'hex')),
  })
  const ids = async () => (await readdir(folder)).filter(name => /^\d+$/.test(name))

  return {
    spreadMs: 0,
    ids,
    revoked: async () => [],
    async current() {
      if ((await ids()).length === 0) await create(folder, random)
      const newest = Math.max(...(await ids()).map(Number))
      return read(String(newest))
    },
    byId: async id => ((await ids()).includes(id) ? read(id) : undefined),
  }
}

/** Whoever comes first creates the key: a link appears complete, and fails where there is one. */
async function create(folder: string, random: Random): Promise<void> {
  const draft = join(folder, `draft-${random.uuid()}`)
  await writeFile(draft, Buffer.from(random.bytes(KEY_BYTES)).toString('hex'), { mode: 0o600 })
  try {
    await link(draft, join(folder, FIRST))
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  } finally {
    await unlink(draft)
  }
}
