import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { giveFolder, removeFolder, removeInside } from '../../host/folders.ts'

const [OWNER, OTHER] = [1_500_000_101, 1_500_000_102]

let base: string
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'coffer-folders-'))
  chmodSync(base, 0o755)
})
afterEach(() => rmSync(base, { recursive: true }))

/** Makes a folder with a file in it, of the uid. */
function makeTree(path: string, uid: number): void {
  mkdirSync(path)
  writeFileSync(join(path, 'file'), '')
  for (const name of [join(path, 'file'), path]) chownSync(name, uid, uid)
}

describe('removeFolder', () => {
  it('removes a file or folder of the same user, and ignores a missing one', async () => {
    mkdirSync(join(base, 'folder', 'inner'), { recursive: true })
    writeFileSync(join(base, 'file'), '')
    for (const name of ['folder', 'file', 'missing']) {
      await removeFolder(join(base, name))
      expect(existsSync(join(base, name))).toBe(false)
    }
  })
})

// Only root can give a file away.
const asRoot = process.getuid?.() === 0 ? describe : describe.skip

asRoot('a folder of another uid (as root only)', () => {
  it('is removed with what its owner closed to itself', async () => {
    const folder = join(base, 'folder')
    makeTree(folder, OWNER)
    makeTree(join(folder, 'closed'), OWNER)
    for (const path of [join(folder, 'closed'), folder]) chmodSync(path, 0)
    await removeFolder(folder)
    expect(existsSync(folder)).toBe(false)
  })

  it('is removed with what is of a third uid in it', async () => {
    const folder = join(base, 'folder')
    makeTree(folder, OWNER)
    makeTree(join(folder, 'foreign'), OTHER)
    symlinkSync(base, join(folder, 'foreign', 'link'))
    await removeFolder(folder)
    expect([existsSync(folder), existsSync(base)]).toEqual([false, true])
  })

  it('loses one entry alone if only that is to be removed', async () => {
    const folder = join(base, 'folder')
    makeTree(folder, OWNER)
    makeTree(join(folder, '-rf'), OWNER)
    await removeInside(folder, OWNER, '-rf')
    await removeInside(folder, OWNER, 'missing')
    expect([existsSync(join(folder, '-rf')), existsSync(join(folder, 'file'))]).toEqual([false, true])
  })

  it('is given to the next, links and what they lead to excepted', async () => {
    const [folder, target] = [join(base, 'folder'), join(base, 'target')]
    makeTree(folder, OTHER)
    makeTree(join(folder, 'inner'), OTHER)
    writeFileSync(target, '')
    symlinkSync(target, join(folder, 'inner', 'link'))
    await giveFolder(folder, OWNER)
    const paths = [folder, join(folder, 'file'), join(folder, 'inner'), join(folder, 'inner', 'file'), target]
    expect(paths.map(path => lstatSync(path).uid)).toEqual([OWNER, OWNER, OWNER, OWNER, 0])
  })
})
