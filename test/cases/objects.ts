import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { BadChecksum, NoSuchObject, type Objects } from '../../lib/ports/objects.ts'

/** One backend set up for one test: the objects, empty. */
export interface ObjectsSetup {
  objects: Objects
  close(): Promise<void>
}

async function* pieces(...all: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of all) yield typeof piece === 'string' ? Buffer.from(piece) : piece
}

async function* failing(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('first piece')
  throw new Error('the source broke')
}

const sha256 = (content: string | Uint8Array) => createHash('sha256').update(content).digest('hex')

/** Keys that must never reach a file system or a bucket. */
const BAD_KEYS = [
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  '../a',
  'a/../b',
  'a/..',
  '.a',
  'a/.b',
  'a\\b',
  'a\0b',
  'a b',
  'ü',
]
const LONG_KEYS = ['x'.repeat(201), `${'x/'.repeat(256)}x`]

/** How backends may differ. */
export interface ObjectsTraits {
  /** Listings are in the order of code units; an emulator may have another order. */
  listings: boolean
}

/** The suite of every object store; `timeout` is for each test, in milliseconds. */
export function objectsCases(
  name: string,
  make: () => Promise<ObjectsSetup>,
  timeout = 10_000,
  { listings }: ObjectsTraits = { listings: true },
): void {
  let setup: ObjectsSetup
  let objects: Objects

  const test = (title: string, run: () => Promise<void>) => it(title, run, timeout)
  const put = (key: string, content = key) => objects.put(key, pieces(content))
  const keys = async (prefix: string, range: { after?: string; limit: number } = { limit: 100 }) =>
    (await objects.list(prefix, range)).map(({ key }) => key)

  async function read(key: string, range?: { from: number; to?: number }): Promise<Buffer> {
    const all: Uint8Array[] = []
    for await (const piece of await objects.get(key, range)) all.push(piece)
    return Buffer.concat(all)
  }
  const text = async (key: string, range?: { from: number; to?: number }) => (await read(key, range)).toString()

  describe(name, () => {
    beforeEach(async () => {
      setup = await make()
      objects = setup.objects
    }, timeout)
    afterEach(() => setup.close(), timeout)

    describe('contents', () => {
      test('are read as they were put, however they are split into pieces', async () => {
        const content = 'Zürich 🏦\0\r\n'
        const stored = await objects.put('a/b.c_D-1', pieces('', 'Zürich ', '', '🏦', '\0\r\n', ''))
        expect(stored).toEqual({ size: Buffer.byteLength(content), checksum: sha256(content) })
        expect(await text('a/b.c_D-1')).toBe(content)
        const info = await objects.head('a/b.c_D-1')
        expect(info).toEqual({ key: 'a/b.c_D-1', size: stored.size, modified: expect.any(Number) })
      })

      test('may be empty', async () => {
        expect(await objects.put('a', pieces())).toEqual({ size: 0, checksum: sha256('') })
        expect(await text('a')).toBe('')
        expect(await objects.head('a')).toMatchObject({ size: 0 })
      })

      test('may be large', async () => {
        const piece = Buffer.alloc(1_000_003, 'abcdefghijk')
        const content = Buffer.concat(Array.from({ length: 21 }, () => piece))
        async function* reused() {
          const buffer = Buffer.alloc(piece.length)
          for (let count = 0; count < 21; count++) {
            piece.copy(buffer)
            yield buffer
            buffer.fill(0)
          }
        }
        expect(await objects.put('large', reused())).toEqual({ size: content.length, checksum: sha256(content) })
        expect(sha256(await read('large'))).toBe(sha256(content))
        const from = 8 * 1024 * 1024 - 3
        expect(await read('large', { from, to: from + 7 })).toEqual(content.subarray(from, from + 7))
      })

      test('are replaced completely', async () => {
        await put('a', 'a long first one')
        await put('a', 'second')
        expect(await text('a')).toBe('second')
        expect(await keys('')).toEqual(['a'])
      })

      test('are read in part', async () => {
        await put('a', '0123456789')
        expect(await text('a', { from: 7 })).toBe('789')
        expect(await text('a', { from: 2, to: 5 })).toBe('234')
        expect(await text('a', { from: 0, to: 1 })).toBe('0')
        expect(await text('a', { from: 8, to: 100 })).toBe('89')
        expect(await text('a', { from: 10 })).toBe('')
        expect(await text('a', { from: 99, to: 100 })).toBe('')
        for (const range of [{ from: -1 }, { from: 3, to: 3 }, { from: 0.5 }, { from: 0, to: Number.NaN }])
          await expect(objects.get('a', range)).rejects.toThrow(RangeError)
      })

      test('throw before the first byte if there is no object', async () => {
        await put('a/b')
        for (const key of ['b', 'a', 'a/b/c', 'a/bb']) {
          await expect(objects.get(key)).rejects.toThrow(NoSuchObject)
          expect(await objects.head(key)).toBeUndefined()
        }
      })

      test('are not stored if their checksum is not the promised one', async () => {
        await objects.put('a', pieces('old'), { checksum: sha256('old') })
        const large = Buffer.alloc(9 * 1024 * 1024)
        for (const content of ['new', large])
          await expect(objects.put('a', pieces(content), { checksum: sha256('old') })).rejects.toThrow(BadChecksum)
        expect(await text('a')).toBe('old')
      })

      test('are not stored if their source fails', async () => {
        await put('a', 'old')
        await expect(objects.put('a', failing())).rejects.toThrow('the source broke')
        await expect(objects.put('b', failing())).rejects.toThrow('the source broke')
        expect(await text('a')).toBe('old')
        expect(await keys('')).toEqual(['a'])
      })

      test('are one of the two if two are put at once', async () => {
        const [first, second] = ['1', '2'].map(digit => digit.repeat(300_000))
        await Promise.all([put('a', first), put('a', second)])
        expect([first, second]).toContain(await text('a'))
      })
    })

    describe('keys', () => {
      test('are refused by all calls if they are not valid', async () => {
        for (const key of [...BAD_KEYS, ...LONG_KEYS]) {
          await expect(put(key)).rejects.toThrow(RangeError)
          await expect(objects.get(key)).rejects.toThrow(RangeError)
          await expect(objects.head(key)).rejects.toThrow(RangeError)
          await expect(objects.delete(key)).rejects.toThrow(RangeError)
        }
        for (const prefix of ['/', '../', 'a/../', 'a//', '.', 'a\0']) {
          await expect(keys(prefix)).rejects.toThrow(RangeError)
          await expect(objects.deletePrefix(prefix)).rejects.toThrow(RangeError)
        }
        await expect(objects.deletePrefix('')).rejects.toThrow(RangeError)
        expect(await keys('')).toEqual([])
      })

      test('may be prefixes of others', async () => {
        for (const key of ['a', 'a/b', 'a/b/c', 'ab']) await put(key)
        for (const key of ['a', 'a/b', 'a/b/c', 'ab']) expect(await text(key)).toBe(key)
        await objects.delete('a/b')
        expect(await keys('')).toEqual(['a', 'a/b/c', 'ab'])
      })
    })

    if (!listings) return
    describe('listings', () => {
      const all = ['A/1', 'a', 'a-1', 'a/1', 'a/10', 'a/2', 'a/b/c', 'ab', 'b/1']

      beforeEach(async () => {
        for (const key of all.toReversed()) await put(key)
      }, timeout)

      test('contain the keys with the prefix, in order', async () => {
        expect(await keys('')).toEqual(all)
        expect(await keys('a/')).toEqual(['a/1', 'a/10', 'a/2', 'a/b/c'])
        expect(await keys('a/1')).toEqual(['a/1', 'a/10'])
        expect(await keys('a/b/')).toEqual(['a/b/c'])
        expect(await keys('c/')).toEqual([])
        expect(await objects.list('b', { limit: 1 })).toMatchObject([{ key: 'b/1', size: 3 }])
      })

      test('come in pages', async () => {
        const listed: string[] = []
        for (let page = await keys('', { limit: 4 }); page.length > 0; ) {
          expect(page.length).toBeLessThanOrEqual(4)
          listed.push(...page)
          page = await keys('', { limit: 4, after: page.at(-1)! })
        }
        expect(listed).toEqual(all)
        expect(await keys('a/', { limit: 9, after: 'a/10' })).toEqual(['a/2', 'a/b/c'])
        expect(await keys('a/', { limit: 9, after: 'b' })).toEqual([])
      })

      test('do not contain deleted objects', async () => {
        await objects.delete('a/1')
        await objects.delete('a/1')
        await objects.delete('nothing/there')
        expect(await keys('a/')).toEqual(['a/10', 'a/2', 'a/b/c'])
        expect(await objects.head('a/1')).toBeUndefined()
        expect(await objects.deletePrefix('a/')).toBe(3)
        expect(await objects.deletePrefix('a/')).toBe(0)
        expect(await keys('')).toEqual(['A/1', 'a', 'a-1', 'ab', 'b/1'])
        await put('a/1')
        expect(await text('a/1')).toBe('a/1')
      })
    })
  })
}
