/** How PostgreSQL names a collation: who provides it, and under which name. */
export interface Locale {
  provider: 'builtin' | 'icu'
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

/** The locale that a collation's name stands for, or undefined if this PostgreSQL has none of that name. */
export function localeOf(collate: string): Locale | undefined {
  const builtin = BUILTIN.get(collate.toLowerCase())
  if (builtin) return { provider: 'builtin', name: builtin }
  const [, language = '', script, region] = LANGUAGE_TAG.exec(collate) ?? []
  if (!LANGUAGES.has(language.toLowerCase())) return undefined
  const script1 = script && script.charAt(0).toUpperCase() + script.slice(1).toLowerCase()
  const parts = [language.toLowerCase(), script1, region?.toUpperCase()]
  return { provider: 'icu', name: parts.filter(part => part).join('-') }
}

/** Why a database of this character set and collation cannot be had, or undefined. */
export function badLocale(characterSet: string | undefined, collate: string | undefined): string | undefined {
  if (characterSet !== undefined && !CHARACTER_SETS.has(characterSet.toLowerCase())) {
    return `Character set ${JSON.stringify(characterSet)} is not offered: every database here is UTF8.`
  }
  if (collate !== undefined && !localeOf(collate)) {
    const offered = 'C, C.UTF-8, PG_UNICODE_FAST, or a language with or without its country, such as de or en_US.UTF-8'
    return `Collation ${JSON.stringify(collate)} is not one of PostgreSQL's: ${offered}.`
  }
  return undefined
}
