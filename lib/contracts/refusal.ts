import { z } from 'zod'

/**
 * Parts of what agents report. A tenant's superuser has its agent's keys, so that nothing of it may be trusted. What a valid
 * agent of any version sends stays as it is.
 */

/** The statuses with which an agent may refuse. */
const REFUSALS: readonly number[] = [400, 404, 409, 422, 501]
const MAX_WORDS = 2_000

/** The status of a refusal: whatever is not in the list is a fault of the agent, 500. */
export const RefusalCode = z.int().transform(code => (REFUSALS.includes(code) ? code : 500))

/** An agent's words as they can be stored and shown: cut, and without characters that a store cannot hold. */
export const Words = z.string().transform(text => {
  const words = text
    .slice(0, MAX_WORDS + 1)
    .toWellFormed()
    .replaceAll('\0', '\ufffd')
  return words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS).toWellFormed()}…` : words
})
