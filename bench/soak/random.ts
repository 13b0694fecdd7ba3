/** Random choices that a seed repeats. */
export interface Random {
  /** At least 0 and below 1. */
  fraction(): number
  /** A whole number from `min` to `max`. */
  whole(min: number, max: number): number
  chance(probability: number): boolean
  /** Throws if the list is empty. */
  pick<T>(list: readonly T[]): T
  /** A time with this mean, as between events that do not know of each other. */
  exponential(mean: number): number
}

/** Mulberry32: 32 bits of state are enough to choose what a soak does. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const fraction = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
  const integer = (min: number, max: number) => min + Math.floor(fraction() * (max - min + 1))
  return {
    fraction,
    whole: integer,
    chance: probability => fraction() < probability,
    pick(list) {
      if (list.length === 0) throw new Error('there is nothing to choose from')
      return list[integer(0, list.length - 1)] as (typeof list)[number]
    },
    exponential: mean => -mean * Math.log(1 - fraction()),
  }
}

/** An item, each as often as its weight says. */
export function pickWeighted<T extends { weight: number }>(random: Random, items: readonly T[]): T {
  const total = items.reduce((sum, { weight }) => sum + weight, 0)
  let rest = random.fraction() * total
  for (const item of items) {
    rest -= item.weight
    if (rest < 0) return item
  }
  return random.pick(items)
}
