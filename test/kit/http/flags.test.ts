import { expect, it } from '@jest/globals'
import { flagOf } from '../../../lib/kit/http/flags.ts'

it.each(['True', 'true', 'TRUE', '1', 'yes', ' on '])('%j is true', text => {
  expect(flagOf(text)).toBe(true)
})

it.each(['False', 'false', '0', 'no', 'Off'])('%j is false', text => {
  expect(flagOf(text)).toBe(false)
})

it.each([undefined, '', 'maybe', '2', 'truefalse', '__proto__'])('%j says neither', text => {
  expect(flagOf(text)).toBeUndefined()
})
