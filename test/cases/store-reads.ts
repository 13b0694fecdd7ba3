import { beforeEach, describe, expect, it } from '@jest/globals'
import type { Subject } from '../../lib/ports/store.ts'
import { C, I, ids, key, put, type StoreContext, type StoreSetup } from './store-context.ts'

/** The part of the suite about listings and expired records. */
export function storeReadCases(current: () => StoreSetup, context: StoreContext, timeout: number): void {
  const { write, read, later, conflict, pages, allOf } = context
  const test = (title: string, run: () => Promise<void>) => it(title, run, timeout)

  describe('listings', () => {
    test('of a project and kind contain exactly those records, in the order of ids', async () => {
      const expected = ['a#', 'a#-', 'a#10', 'a#9', 'a#B', 'a#_', 'a#a', 'a#a#a', 'a#~']
      const others = ['A#1', 'a', 'a!#1', 'a-b#1', 'aa#1', 'b#1'].map(id => put(id))
      await write(...expected.toReversed().map(id => put(id)), ...others, put('', { key: key('a#11', 'other') }))
      expect(ids(await current().store.list('demo', 'a', { limit: 100 }))).toEqual(expected)
      const from = (after?: string) =>
        current().store.list('demo', 'a', { limit: 4, ...(after !== undefined && { after }) })
      expect(await pages(4, from)).toEqual([expected.slice(0, 4), expected.slice(4, 8), expected.slice(8)])
      expect(ids(await from('a#5'))).toEqual(['a#9', 'a#B', 'a#_', 'a#a'])
      expect(ids(await from('Z'))).toEqual(expected.slice(0, 4))
      expect(await from('b#1')).toEqual([])
    })

    test('of a kind contain all projects, in pages', async () => {
      const projects = ['*', 'alt', 'demo']
      const each = projects.flatMap(project =>
        ['a#1', 'a#2', 'a#3', 'b#1'].map(id => put('', { key: key(id, project) })),
      )
      await write(...each)
      const names = await allOf('a', 100)
      expect(names.toSorted()).toEqual(projects.flatMap(project => [1, 2, 3].map(id => `${project} a#${id}`)))
      for (const limit of [1, 3, 9]) expect(await allOf('a', limit)).toEqual(names)
      expect(await allOf('c', 1)).toEqual([])
    })

    test('of due records begin with the earliest', async () => {
      const due = (id: string, at: number, project = 'demo') => put('', { key: key(id, project), due: at })
      await write(due('a#1', 30), due('b#1', 10), due('a#2', 20, '*'), due('a#3', 31), put('a#4'))
      expect(ids(await current().store.due(30, 10))).toEqual(['b#1', 'a#2', 'a#1'])
      expect(ids(await current().store.due(30, 2))).toEqual(['b#1', 'a#2'])
      expect(await current().store.due(9, 10)).toEqual([])
      await write(due('b#1', 40))
      expect(ids(await current().store.due(100, 10))).toEqual(['a#2', 'a#1', 'a#3', 'b#1'])
    })

    test('of a subject contain one kind or all, in the order of ids', async () => {
      const owned = (id: string, subject: Subject) => put(id, { subject })
      await write(
        owned('b#1', I),
        owned('a#2', I),
        owned('a#1', I),
        owned('ab#1', I),
        owned('a#3', { kind: 'instance', id: 'j' }),
        put('a#4', { parent: I }),
      )
      const from = (kind?: string) => (after?: string) =>
        current().store.ofSubject(I, kind, { limit: 2, ...(after !== undefined && { after }) })
      expect(await pages(2, from())).toEqual([['a#1', 'a#2'], ['ab#1', 'b#1']]) // biome-ignore format: short
      expect(await pages(2, from('a'))).toEqual([['a#1', 'a#2']])
      expect(await pages(2, from('c'))).toEqual([])
    })

    test('of a parent contain the records of all its parts', async () => {
      const part = (id: string, name: string, parent = C) =>
        put(id, { subject: { kind: 'instance', id: name }, parent })
      await write(part('b#1', 'i'), part('a#2', 'j'), part('a#1', 'i'), part('a#3', 'i', I), put('a#4', { subject: C }))
      const from = (kind?: string) => (after?: string) =>
        current().store.ofParent(C, kind, { limit: 1, ...(after !== undefined && { after }) })
      expect(await pages(1, from())).toEqual([['a#1'], ['a#2'], ['b#1']])
      expect(await pages(1, from('b'))).toEqual([['b#1']])
      expect(ids(await current().store.ofSubject(I, undefined, { limit: 9 }))).toEqual(['a#1', 'a#3', 'b#1'])
      await write(part('a#2', 'j', I), put('b#1', { subject: I }))
      expect(await pages(1, from())).toEqual([['a#1']])
    })

    test('of subjects with the same id are not mixed', async () => {
      const subjects = [I, { kind: 'backup', id: 'i' }, { kind: 'instance', id: 'backup/i' }, { kind: 'a_b', id: '/i' }]
      const { store } = current()
      for (const [index, subject] of subjects.entries()) {
        await write(put(`a#${index}`, { subject }), put(`b#${index}`, { parent: subject }))
        expect(await read(`a#${index}`)).toMatchObject({ subject })
        expect(await read(`b#${index}`)).toMatchObject({ parent: subject })
      }
      for (const [index, subject] of subjects.entries()) {
        expect(ids(await store.ofSubject(subject, undefined, { limit: 9 }))).toEqual([`a#${index}`])
        expect(ids(await store.ofParent(subject, undefined, { limit: 9 }))).toEqual([`b#${index}`])
      }
    })
  })

  describe('expired records', () => {
    beforeEach(async () => {
      await write(put('a#1', { body: { used: 5 }, due: 1, subject: I, parent: C, expires: later(1_000) }), put('a#2'))
      await write(put('a#1', { body: { used: 5 }, due: 1, subject: I, parent: C, expires: later(1_000) }))
      expect(await read('a#1')).toBeDefined()
      await current().advance(1_000)
    }, timeout)

    test('are never returned', async () => {
      expect(await read('a#1')).toBeUndefined()
      expect(ids(await current().store.list('demo', 'a', { limit: 1 }))).toEqual(['a#2'])
      expect(await allOf('a', 1)).toEqual(['demo a#2'])
      expect(await current().store.due(1, 1)).toEqual([])
      expect(await current().store.ofSubject(I, undefined, { limit: 1 })).toEqual([])
      expect(await current().store.ofParent(C, undefined, { limit: 1 })).toEqual([])
    })

    test('do not exist for conditions', async () => {
      for (const op of ['check', 'delete'] as const) await conflict(0, 'version', { op, key: key('a#1'), was: 2 })
      await conflict(0, 'version', put('a#1', { was: 2 }))
      await write({ op: 'check', key: key('a#1'), was: 0 })
      await write(put('a#1', { body: 'new', was: 0 }))
      expect(await read('a#1')).toEqual({ key: key('a#1'), version: 1, body: 'new' })
    })

    test('count as missing for an add', async () => {
      await write({ op: 'add', key: key('a#1'), field: 'used', by: 1, max: 1 })
      expect(await read('a#1')).toEqual({ key: key('a#1'), version: 1, body: { used: 1 } })
    })
  })
}
