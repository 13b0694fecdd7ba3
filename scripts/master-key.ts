import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { messageOf } from '../lib/kit/errors.ts'
import { BadKeys, type KeyDocument, withCurrent, withKey, withoutKey } from '../lib/platform/secrets/key-set.ts'
import { editKeyFile } from '../lib/platform/secrets/keyfile/edit.ts'
import { editKeyParameter } from '../lib/platform/secrets/ssm/edit.ts'
import { stageNames } from '../lib/wiring/aws.ts'
import { systemRandom as random, systemClock } from '../lib/wiring/system.ts'

/**
 * `npm run key -- rotate|add|use ID|remove ID|status`, with one of `--data-dir DIR`, `--file FILE` and `--stage STAGE
 * --region REGION`: changes the master keys of a Coffer that runs. `docs/operations.md` says in which order.
 */
const USAGE =
  'npm run key -- status|rotate|add|use ID|remove ID [--revoke] [--force] (--data-dir DIR | --file FILE | --stage STAGE --region REGION)'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'data-dir': { type: 'string' },
    file: { type: 'string' },
    stage: { type: 'string' },
    region: { type: 'string' },
    revoke: { type: 'boolean', default: false },
    force: { type: 'boolean', default: false },
  },
})
const [command = 'status', id = ''] = positionals
const base = process.env['INIT_CWD'] ?? process.cwd()
const dataDir = values['data-dir'] === undefined ? undefined : resolve(base, values['data-dir'])

type Edit = (change: (document: KeyDocument) => KeyDocument) => Promise<KeyDocument>

function editorOf(): Edit {
  if (dataDir !== undefined) return change => editKeyFile(join(dataDir, 'master.key'), change)
  const { file, stage, region } = values
  if (file !== undefined) return change => editKeyFile(resolve(base, file), change)
  if (stage === undefined || region === undefined) throw new Error(USAGE)
  const endpoint = process.env['AWS_ENDPOINT_URL']
  const parameter = stageNames(stage).COFFER_MASTER_KEY
  return change => editKeyParameter({ connection: { region, ...(endpoint && { endpoint }) }, parameter }, change)
}

function changeOf(): (document: KeyDocument) => KeyDocument {
  const newId = `${new Date(systemClock.now()).toISOString().slice(0, 10)}-${random.uuid().slice(0, 8)}`
  const add = (document: KeyDocument) => withKey(document, newId, random.bytes(32))
  if (command === 'add') return add
  if (command === 'rotate') return document => withCurrent(add(document), newId)
  if (command === 'use') return document => withCurrent(document, id)
  if (command === 'remove') return document => withoutKey(document, id, values.revoke)
  throw new Error(USAGE)
}

/** How many records need an older key, as the Coffer on that data directory says; undefined if it does not say it. */
async function recordsRemaining(folder: string): Promise<number | undefined> {
  try {
    const endpoint = await readFile(join(folder, 'endpoint'), 'utf8')
    const response = await fetch(new URL('/metrics', endpoint.trim()), { signal: AbortSignal.timeout(10_000) })
    const [, count] = /^coffer_key_records_remaining\{[^}]*\} (\d+)$/m.exec(await response.text()) ?? []
    return count === undefined ? undefined : Number(count)
  } catch {
    return undefined
  }
}

async function assertUnused(): Promise<void> {
  if (command !== 'remove' || values.force) return
  const hint = 'with --force it is removed all the same, and what needs it is lost'
  if (dataDir === undefined) throw new Error(`look first whether coffer_key_records_remaining is 0; ${hint}`)
  const remaining = await recordsRemaining(dataDir)
  if (remaining !== 0) throw new Error(`${remaining ?? 'uncounted'} records may need the key ${id}; ${hint}`)
}

async function run(): Promise<void> {
  const edit = editorOf()
  await assertUnused()
  const show = (document: KeyDocument) => document
  const { current, keys } = await edit(command === 'status' ? show : changeOf())
  for (const key of keys) console.log(`${key.id}${key.id === current ? ' (current)' : ''}`)
  if (dataDir === undefined || keys.length === 1) return
  console.log(`records that need an older key: ${(await recordsRemaining(dataDir)) ?? 'not counted yet'}`)
}

await run().catch(error => {
  console.error(`coffer: ${error instanceof BadKeys ? 'the file ' : ''}${messageOf(error)}`)
  process.exit(1)
})
