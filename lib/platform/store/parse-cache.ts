/** How many of the texts read last are cached, plus up to as many older ones. */
const MAX_TEXTS = 1_000
/** Longer texts are not cached. */
const MAX_LENGTH = 4_096

/** A text and, from the second time it is read, its value. */
interface Cached {
  text: string
  value?: unknown
}

/**
 * Creates a parser of JSON with a cache by key. A cached value is returned only while the key's text is the same, so it
 * is never stale. It is shared, and therefore frozen. What is read for the first time is neither: freezing costs more
 * than parsing, and most of a large store is read once.
 */
export function parseCache(): (key: string, text: string) => unknown {
  // Two generations, the older dropped as a whole: evicting single entries would also cost more than parsing.
  let young = new Map<string, Cached>()
  let old = new Map<string, Cached>()

  function remember(key: string, entry: Cached): void {
    young.set(key, entry)
    if (young.size < MAX_TEXTS) return
    old = young
    young = new Map()
  }

  return (key, text) => {
    const recent = young.get(key)
    const cached = recent ?? old.get(key)
    if (cached?.text === text) {
      if (!recent) remember(key, cached)
      cached.value ??= deepFreeze(JSON.parse(text))
      return cached.value
    }
    if (text.length <= MAX_LENGTH) remember(key, { text })
    return JSON.parse(text)
  }
}

/** Freezes a value and everything in it; it must be a tree, as JSON is. */
function deepFreeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  for (const part of Object.values(value)) deepFreeze(part)
  return Object.freeze(value)
}
