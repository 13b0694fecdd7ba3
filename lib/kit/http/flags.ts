/** The truth in a query's text, read leniently: `True`, `1`, `yes` … ; undefined if it says neither. */
export function flagOf(text: string | undefined): boolean | undefined {
  const word = text?.trim().toLowerCase() ?? ''
  if (['true', '1', 'yes', 'on', 't', 'y'].includes(word)) return true
  if (['false', '0', 'no', 'off', 'f', 'n'].includes(word)) return false
  return undefined
}
