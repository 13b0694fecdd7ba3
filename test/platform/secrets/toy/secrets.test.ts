import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from '@jest/globals'
import { secretsCases } from '../../../cases/secrets.ts'
import { seededRandom } from '../../../kit/random.ts'
import { folderSecrets } from './secrets.ts'

const folders: string[] = []
let seed = 0

afterAll(() => Promise.all(folders.map(folder => rm(folder, { recursive: true }))))

secretsCases('a folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'coffer-toy-keys-'))
  folders.push(folder)
  const open = () => folderSecrets(folder, seededRandom(++seed))
  return { secrets: open(), reopen: open }
})
