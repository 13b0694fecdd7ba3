/** Texts remembered: so many of those read last, and up to as many older ones. */
const MOST = 1_000
/** The longest text that is. */
const LONGEST = 4_096

/** A text, and from its second reading on its value. */
interface Known {
  text: string
  value?: unknown
}

/**
 * Parses JSON. A key's value is given again while its text is the same, so that it can never be stale; it is shared, and
 * therefore frozen. What is read once is neither: freezing costs more than parsing, and most of a large store is read once.
 */
export function parsing(): (key: string, text: string) => unknown {
  // Two maps, one thrown away as a whole: taking the oldest out of one costs more than parsing, too.
  let young = new Map<string, Known>()
  let old = new Map<string, Known>()

  function remember(key: string, known: Known): void {
    young.set(key, known)
    if (young.size < MOST) return
    old = young
    young = new Map()
  }

  return (key, text) => {
    const recent = young.get(key)
    const known = recent ?? old.get(key)
    if (known?.text === text) {
      if (!recent) remember(key, known)
      known.value ??= frozen(JSON.parse(text))
      return known.value
    }
    if (text.length <= LONGEST) remember(key, { text })
    return JSON.parse(text)
  }
}

/** The value with all within it: a tree, as JSON is. */
function frozen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  for (const part of Object.values(value)) frozen(part)
  return Object.freeze(value)
}
