import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from '@jest/globals'

const ROOT = join(import.meta.dirname, '..', '..')
const PAGE = readFileSync(join(ROOT, 'docs', 'safety.md'), 'utf8')

/** Attacks that managed databases have seen, in the page's words: a row that gets lost is missed. */
const ATTACKS = [
  'an id alone gives access (ChaosDB, CosMiss)',
  "one tenant reaches another's queue or answers (ExtraReplica)",
  'a name in a certificate is matched loosely (ExtraReplica)',
  "the tenant's code runs as superuser during maintenance (Cloud SQL, CVE-2022-1552)",
  'a symbolic link leads out of the volume (Cloud SQL)',
  "SQL in names and passwords (Hell's Keychain)",
  "a reusable secret on an instance (Hell's Keychain)",
  'path traversal in a name (`log_fdw`)',
  "the engine reads the service's own credentials (`log_fdw`)",
  "a program takes a database's address while that is down, and is given the agent's passwords",
  "a program takes a database's address while that is down, and its clients' passwords",
  "the tenant's superuser imposes settings on the agent's sessions (`ALTER DATABASE … SET`)",
  "other tenants' statements are read in the list of processes",
  "the tenant's superuser reads or runs what it wants on the machine (`COPY FROM PROGRAM`)",
  'arguments and settings are injected (Cloud SQL MySQL)',
  "the tenant's superuser reconfigures the server (CVE-2016-6662, CVE-2021-27928)",
  'root becomes a superuser, or a role of Coffer (`CREATEROLE`, ownership, extensions: CVE-2022-2625, CVE-2023-2454)',
  'what a former superuser left gives its rights back',
  "root is led by a link out of a tenant's folder",
  'a program outlives its instance',
  "a program of a tenant gets the machine's rights from its cloud",
  'one instance uses up the machine',
  'listeners of a tenant push new databases off their network',
  'other tenants are seen in the process list',
  'TLS is offered, not enforced (RDS MySQL)',
  "somebody takes the name of the queue's socket before Coffer does",
  'XML: bombs, external entities, deep nesting',
  'JSON: wrong types, `__proto__`, depth, size',
  'tokens: none, garbage, forged, expired, revoked, very long',
  'passwords are guessed',
  'a password or a credential is changed, and nobody can tell by whom',
  'somebody keeps a user out by failing under his name',
  'made-up names fill the store',
  "one tenant fills everybody's disk",
  'a database grows beyond its volume',
  'management by members',
  'messages are forged, flipped, cut or repeated',
  'a text that a pattern takes hours for (ReDoS)',
  'an agent that was taken over answers with what it likes',
  "an agent fills the control plane's memory or store",
  "bodies on many connections fill the gateway's memory",
  'logins from one address keep others there from logging in',
  'logins and enrolments are flooded on AWS',
  "one tenant floods the others, or its agent's credentials do",
]

/** Faults that their users hate, likewise. */
const FAULTS = [
  'stuck for days, other verbs refused',
  'a process dies and its work hangs',
  'a server dies and nobody sees it',
  'bus or store are killed (-9) in the middle of a load',
  'two Coffers start on one data directory in the same instant',
  'a full disk ends a process',
  'the master key has to be changed',
  'a power loss takes back what was answered',
  'delete fails on what is half there',
  'volumes left behind and billed, quota held',
  'passwords in logs and on disk',
  'clients get a word that they do not know',
  'a request that is repeated is done twice',
  'a message that always fails blocks the queue, or what it is about hangs',
  'an agent never comes back, and what it is asked piles up',
  'a message shows again while it is worked on',
  'a clock is set back or ahead',
  'an upgrade loses data',
]

/** A row of one of the page's tables: what it is about, and the tests that it names. */
interface Row {
  about: string
  tests: { file: string; name: string }[]
}

function rowsOf(page: string): Row[] {
  const lines = page.split('\n').filter(line => /^\| (?!attack|fault)/.test(line))
  return lines.map(line => {
    const [, about = '', , tests = ''] = line.split(' | ').flatMap((cell, at) => (at === 0 ? ['', cell] : [cell]))
    return { about: about.replace(/^\| /, ''), tests: tests.replace(/ \|$/, '').split('<br>').map(testOf) }
  })
}

function testOf(text: string): Row['tests'][number] {
  const [, file = '', name = ''] = /^`(test\/[\w/.-]+\.test\.ts)`: (.+)$/.exec(text) ?? []
  return { file, name }
}

/** The rows below a heading of the page. */
const rowsBelow = (heading: string) => rowsOf(PAGE.split(`\n## ${heading}\n`)[1]?.split('\n## ', 1)[0] ?? '')

/** The names of tests and groups in a file, as they are written there. */
function namesIn(file: string): string[] {
  if (!existsSync(join(ROOT, file))) return []
  const text = readFileSync(join(ROOT, file), 'utf8')
  // A name stands after `it(`, `it.each(…)(` or `describe(`, as one string; some are chosen by a condition.
  return [
    ...text.matchAll(/(?:'((?:[^'\\\n]|\\.)+)'|"((?:[^"\\\n]|\\.)+)")\s*(?:,|:)\s*(?:async\b|\(|\w+ =>|'|")/g),
  ].map(([, single, double]) => (single ?? double ?? '').replace(/\\(.)/g, '$1'))
}

const rows = rowsOf(PAGE)

describe('docs/safety.md', () => {
  it.each([
    ['Attacks', ATTACKS],
    ['Faults', FAULTS],
  ])('has a row for each of the %s and no other', (heading, list) => {
    expect(
      rowsBelow(heading)
        .map(({ about }) => about)
        .sort(),
    ).toEqual(list.toSorted())
  })

  it('names only tests that exist', () => {
    const missing = rows.flatMap(({ about, tests }) =>
      tests.filter(({ file, name }) => !namesIn(file).includes(name)).map(test => ({ about, ...test })),
    )
    expect(missing).toEqual([])
  })
})
