import type { Page } from '../../driver.ts'

/** A page of rows; the query's limit must be one more than the page's. */
export function pageOfRows<Row extends { name: string }, T>(
  rows: Row[],
  limit: number,
  view: (row: Row) => T,
): Page<T> {
  const pageRows = rows.slice(0, limit)
  const next = rows.length > limit ? pageRows.at(-1)?.name : undefined
  return { items: pageRows.map(view), ...(next !== undefined && { next }) }
}
