import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Node, parseSync } from '@swc/core'
import { check } from 'recheck'

/**
 * Refuses regular expressions whose time grows faster than the text: node scripts/patterns.ts FOLDER… One that is
 * built at run time cannot be checked, and is refused too.
 */
const TIMEOUT_MS = 60_000

interface Pattern {
  file: string
  source: string
  flags: string
}

/** The literals of a file. Throws for a pattern that is built at run time. */
function patternsIn(file: string): Pattern[] {
  const patterns: Pattern[] = []
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    if (isLiteral(node)) patterns.push({ file, source: node.pattern, flags: node.flags })
    if (isConstructor(node)) throw new Error(`${file}: write a literal in place of RegExp(…)`)
    for (const part of Object.values(node)) visit(part)
  }
  visit(parseSync(readFileSync(file, 'utf8'), { syntax: 'typescript', target: 'es2024' }))
  return patterns
}

type Literal = Node & { pattern: string; flags: string }
const isLiteral = (node: object): node is Literal => 'type' in node && node.type === 'RegExpLiteral'

function isConstructor(node: object): boolean {
  if (!('type' in node && 'callee' in node)) return false
  const { callee } = node as { callee: { value?: unknown } }
  return ['NewExpression', 'CallExpression'].includes(String(node.type)) && callee.value === 'RegExp'
}

/** Why the pattern is refused; undefined if its time is linear. */
async function problemOf({ file, source, flags }: Pattern): Promise<string | undefined> {
  const result = await check(source, flags, { timeout: TIMEOUT_MS })
  if (result.status === 'safe') return undefined
  const reason = result.status === 'vulnerable' ? result.complexity.summary : result.error.kind
  return `${file}: /${source}/${flags} is not linear (${reason})`
}

const files = process.argv
  .slice(2)
  .flatMap(folder => readdirSync(folder, { recursive: true, encoding: 'utf8' }).map(name => join(folder, name)))
const patterns = files.filter(file => /\.[cm]?[jt]s$/.test(file)).flatMap(patternsIn)
const problems: string[] = []
for (const pattern of patterns) problems.push(...[await problemOf(pattern)].filter(problem => problem !== undefined))
for (const problem of problems) console.error(problem)
console.log(`${patterns.length} patterns`)
process.exitCode = problems.length > 0 ? 1 : 0
