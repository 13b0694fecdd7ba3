import { guest } from '../lib/contracts/guest.ts'
import { type Driver, Refused } from '../lib/datastores/driver.ts'

/** Commands that a repetition refuses with 404 because they were done; each tells whether there is anything to remove. */
const REMOVALS: Record<string, (input: unknown, driver: Driver) => Promise<boolean>> = {
  async delete_database(input, driver) {
    const { name } = guest.methods.delete_database.input.parse(input)
    const { items } = await driver.list_databases({ limit: 1, marker: name, include_marker: true })
    return items.some(item => item.name === name)
  },
  async delete_user(input, driver) {
    const { name, host } = guest.methods.delete_user.input.parse(input)
    return (await driver.get_user(name, host)) !== undefined
  },
  async revoke_access(input, driver) {
    const { name, host, database } = guest.methods.revoke_access.input.parse(input)
    return (await driver.list_access(name, host)).some(granted => granted.name === database)
  },
}

export const isRemoval = (method: string): boolean => Object.hasOwn(REMOVALS, method)

/** Whether what the removal is about may be there. */
export async function isThere(method: string, input: unknown, driver: Driver): Promise<boolean> {
  const there = REMOVALS[method]?.(input, driver) ?? false
  // What cannot be told now may be there.
  return Promise.resolve(there).catch((error: unknown) => !(error instanceof Refused))
}
