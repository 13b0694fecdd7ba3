import { describe, expect, it } from '@jest/globals'
import { z } from 'zod'
import { saga } from '../../../lib/kit/saga/saga.ts'

describe('a saga definition', () => {
  it('keeps its steps in order, and an undo-only step does nothing on the way forward', () => {
    const undo = async () => {}
    const move = async () => {}
    const { steps } = saga<object, undefined>('move', z.object({}))
      .onUndo('restore_settings', { undo, undoDeadlineMs: 1_000 })
      .step('move', { do: move, undo })
    expect(steps).toEqual([
      { name: 'restore_settings', undo, undoDeadlineMs: 1_000 },
      { name: 'move', do: move, undo },
    ])
  })
})
