import { NEWEST_MAJOR } from './major.ts'

/** A collation in PostgreSQL's terms: its provider, and its name there. */
interface Locale {
  provider: 'builtin' | 'icu' | 'libc'
  name: string
}

// MySQL's names for UTF-8 mean PostgreSQL's UTF8; clients written for MySQL send them by default.
const CHARACTER_SETS = new Set(['utf8', 'utf-8', 'unicode', 'utf8mb3', 'utf8mb4'])

const BUILTIN = new Map([
  ['c', 'C'],
  ['posix', 'C'],
  ['ucs_basic', 'C'],
  ['c.utf8', 'C.UTF-8'],
  ['c.utf-8', 'C.UTF-8'],
  ['pg_c_utf8', 'C.UTF-8'],
  ['pg_unicode_fast', 'PG_UNICODE_FAST'],
])

// Before 17 there was no built-in provider; the C library sorts these the same way.
const BUILTIN_SINCE = 17
const UNICODE_FAST_SINCE = 18

// The languages in pg_collation (ICU 60). ICU silently uses the root locale for any other.
const LANGUAGES = new Set(
  `af agq ak am ar as asa ast az bas be bem bez bg bm bn bo br brx bs ca ccp ce cgg chr ckb cs cy da dav de dje dsb dua
  dyo dz ebu ee el en eo es et eu ewo fa ff fi fil fo fr fur fy ga gd gl gsw gu guz gv ha haw he hi hr hsb hu hy id ig ii
  is it ja jgo jmc ka kab kam kde kea khq ki kk kkj kl kln km kn ko kok ks ksb ksf ksh kw ky lag lb lg lkt ln lo lrc lt
  lu luo luy lv mas mer mfe mg mgh mgo mk ml mn mr ms mt mua my mzn naq nb nd nds ne nl nmg nn nnh nus nyn om or os pa pl
  ps pt qu rm rn ro rof ru rw rwk sah saq sbp se seh ses sg shi si sk sl smn sn so sq sr sv sw ta te teo tg th ti to tr
  tt twq tzm ug uk und ur uz vai vi vun wae wo xog yav yi yo yue zgh zh zu`.split(/\s+/),
)

// de, de_AT, de-AT, sr-Latn-RS, de_DE.UTF-8 (as in operating systems), de-AT-x-icu (as in pg_collation).
const LANGUAGE_TAG = /^([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|\d{3}))?(?:\.utf-?8|-x-icu)?$/i

/** The locale that a collation's name stands for, or undefined if that major version has none of that name. */
export function findLocale(collate: string, major = NEWEST_MAJOR): Locale | undefined {
  const builtin = BUILTIN.get(collate.toLowerCase())
  if (builtin === 'PG_UNICODE_FAST' && major < UNICODE_FAST_SINCE) return undefined
  if (builtin) return { provider: major < BUILTIN_SINCE ? 'libc' : 'builtin', name: builtin }
  const [, language = '', script, region] = LANGUAGE_TAG.exec(collate) ?? []
  if (!LANGUAGES.has(language.toLowerCase())) return undefined
  const titleScript = script && script.charAt(0).toUpperCase() + script.slice(1).toLowerCase()
  const parts = [language.toLowerCase(), titleScript, region?.toUpperCase()]
  return { provider: 'icu', name: parts.filter(part => part).join('-') }
}

/** Why that major version does not offer this character set and collation, or undefined. */
export function localeProblem(
  characterSet: string | undefined,
  collate: string | undefined,
  major = NEWEST_MAJOR,
): string | undefined {
  if (characterSet !== undefined && !CHARACTER_SETS.has(characterSet.toLowerCase())) {
    return `Character set ${JSON.stringify(characterSet)} is not offered: every database here is UTF8.`
  }
  if (collate !== undefined && !findLocale(collate, major)) {
    const builtin = `C, C.UTF-8,${major < UNICODE_FAST_SINCE ? '' : ' PG_UNICODE_FAST,'}`
    const offered = `${builtin} or a language with or without its country, such as de or en_US.UTF-8`
    return `Collation ${JSON.stringify(collate)} is not one of PostgreSQL's: ${offered}.`
  }
  return undefined
}
