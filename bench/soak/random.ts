import { mulberry32 } from '../../test/kit/random.ts'

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

/** The choices of this seed. */
export function seededRandom(seed: number): Random {
  const next = mulberry32(seed)
  const fraction = () => next() / 2 ** 32
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
