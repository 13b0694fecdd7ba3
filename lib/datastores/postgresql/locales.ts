import { NEWEST } from './major.ts'

/** How PostgreSQL names a collation: who provides it, and under which name. */
export interface Locale {
  provider: 'builtin' | 'icu' | 'libc'
  name: string
}

// MySQL's own names for UTF-8 mean what PostgreSQL's UTF8 is; clients written for MySQL send them by default.
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

// Before its own provider, PostgreSQL asked the C library for these, which sorts them the same way.
const BUILTIN_SINCE = 17
const UNICODE_FAST_SINCE = 18

// The languages in pg_collation (ICU 60). ICU takes any other for the root locale, which would be a silent surprise.
const LANGUAGES = new Set(
  `af agq ak am ar as asa ast az bas be bem bez bg bm bn bo br brx bs ca ccp ce cgg chr ckb cs cy da dav de dje dsb dua
  dyo dz ebu ee el en eo es et eu ewo fa ff fi fil fo fr fur fy ga gd gl gsw gu guz gv ha haw he hi hr hsb hu hy id ig ii
  is it ja jgo jmc ka kab kam kde kea khq ki kk kkj kl kln km kn ko kok ks ksb ksf ksh kw ky lag lb lg lkt ln lo lrc lt
  lu luo luy lv mas mer mfe mg mgh mgo mk ml mn mr ms mt mua my mzn naq nb nd nds ne nl nmg nn nnh nus nyn om or os pa pl
  ps pt qu rm rn ro rof ru rw rwk sah saq sbp se seh ses sg shi si sk sl smn sn so sq sr sv sw ta te teo tg th ti to tr
  tt twq tzm ug uk und ur uz vai vi vun wae wo xog yav yi yo yue zgh zh zu`.split(/\s+/),
)

// de, de_AT, de-AT, sr-Latn-RS, de_DE.UTF-8 (what operating systems say), de-AT-x-icu (what pg_collation says).
const LANGUAGE_TAG = /^([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|\d{3}))?(?:\.utf-?8|-x-icu)?$/i

/** The locale that a collation's name stands for, or undefined if that major version has none of that name. */
export function localeOf(collate: string, major = NEWEST): Locale | undefined {
  const builtin = BUILTIN.get(collate.toLowerCase())
  if (builtin === 'PG_UNICODE_FAST' && major < UNICODE_FAST_SINCE) return undefined
  if (builtin) return { provider: major < BUILTIN_SINCE ? 'libc' : 'builtin', name: builtin }
  const [, language = '', script, region] = LANGUAGE_TAG.exec(collate) ?? []
  if (!LANGUAGES.has(language.toLowerCase())) return undefined
  const script1 = script && script.charAt(0).toUpperCase() + script.slice(1).toLowerCase()
  const parts = [language.toLowerCase(), script1, region?.toUpperCase()]
  return { provider: 'icu', name: parts.filter(part => part).join('-') }
}

/** Why a database of this character set and collation cannot be had in that major version, or undefined. */
export function badLocale(
  characterSet: string | undefined,
  collate: string | undefined,
  major = NEWEST,
): string | undefined {
  if (characterSet !== undefined && !CHARACTER_SETS.has(characterSet.toLowerCase())) {
    return `Character set ${JSON.stringify(characterSet)} is not offered: every database here is UTF8.`
  }
  if (collate !== undefined && !localeOf(collate, major)) {
    const builtin = `C, C.UTF-8,${major < UNICODE_FAST_SINCE ? '' : ' PG_UNICODE_FAST,'}`
    const offered = `${builtin} or a language with or without its country, such as de or en_US.UTF-8`
    return `Collation ${JSON.stringify(collate)} is not one of PostgreSQL's: ${offered}.`
  }
  return undefined
}
