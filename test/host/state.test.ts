import { describe, expect, it } from '@jest/globals'
import { markAndRemove } from '../../host/state.ts'

/** Removes something on a disk that has space for a mark once `removed` is noted; returns what happened in which order. */
async function removeOn(disk: { isFull: boolean; code?: string }): Promise<string[]> {
  const done: string[] = []
  const mark = async () => {
    if (disk.isFull && !done.includes('removed')) throw Object.assign(new Error('no'), { code: disk.code ?? 'ENOSPC' })
    done.push('marked')
  }
  await markAndRemove(mark, async () => void done.push('removed'))
  return done
}

describe('what is removed for good', () => {
  it('is marked before', async () => {
    expect(await removeOn({ isFull: false })).toEqual(['marked', 'removed'])
  })

  it('on a full disk is removed first, and marked with the space of that', async () => {
    expect(await removeOn({ isFull: true })).toEqual(['removed', 'marked'])
  })

  it('is not removed if it cannot be marked for another reason', async () => {
    await expect(removeOn({ isFull: true, code: 'EACCES' })).rejects.toThrow('no')
  })
})
