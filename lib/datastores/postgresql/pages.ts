import type { Page } from '../driver.ts'

/** A page out of rows that were asked for with one more than the limit. */
export function pageOf<Row extends { name: string }, T>(rows: Row[], limit: number, view: (row: Row) => T): Page<T> {
  const shown = rows.slice(0, limit)
  const next = rows.length > limit ? shown.at(-1)?.name : undefined
  return { items: shown.map(view), ...(next !== undefined && { next }) }
}
