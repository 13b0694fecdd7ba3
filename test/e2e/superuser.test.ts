import { readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { detectConfinement } from '../../host/confinement.ts'
import { guestTopic } from '../../lib/contracts/conductor.ts'
import { socketQueue } from '../../lib/platform/queue/socket/client.ts'
import { AccessDenied } from '../../lib/ports/queue.ts'
import { systemClock } from '../../lib/wiring/system.ts'
import { cloudFiles } from '../files.ts'
import { silentLog } from '../kit/random.ts'
import { query } from './api-helpers.ts'
import { ownCloud } from './cloud.ts'
import { type Answer, createInstance, processesOf } from './coffer.ts'

const { hides: canHide } = await detectConfinement(process.getuid?.() === 0 ? 0 : undefined)

/** Without root all instances run as one user, and none of this holds. */
const asRoot = process.getuid?.() === 0 ? describe : describe.skip

asRoot('a superuser of an instance, where each has a uid of its own (as root only)', () => {
  const { coffer, demo, alt } = ownCloud(['--spares', '1', '--root', 'superuser'])
  let ours: Answer['body']
  let theirs: Answer['body']
  beforeAll(async () => {
    const databases = [{ name: 'cart' }]
    ;[ours, theirs] = await Promise.all([demo, alt].map(session => createInstance(session, { databases })))
    expect((await demo.call('POST', `/instances/${ours.id}/root`, { password: 'root1' })).status).toBe(200)
    await sql('CREATE TABLE said (line text)')
    await sql(TRIED)
  })
  /** Runs a statement as the superuser. */
  const sql = (text: string) => query(ours, { user: 'root', password: 'root1', database: 'cart' }, text)
  const at = (...path: string[]) => join(coffer.dataDir, ...path)
  const volume = ({ id }: { id: string }) => at('volumes', `volume-${id}-1`)
  const server = ({ id }: { id: string }) => at('servers', `server-${id}-1`)
  const site = (instance: { id: string }) => `${server(instance)}.site.json`
  const config = (instance: { id: string }) => `${server(instance)}.config.json`
  const isOwn = (path: string) =>
    [volume(ours), server(ours)].some(folder => path.startsWith(`${folder}/`)) ||
    [site(ours), config(ours)].includes(path)
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`

  /** Tries to read the first byte of each file; returns `read` or the error. */
  const TRIED = `CREATE FUNCTION tried(paths text[]) RETURNS TABLE (path text, code text, message text) AS $$
    BEGIN
      FOREACH path IN ARRAY paths LOOP
        BEGIN
          code := 'read'; message := '';
          PERFORM pg_read_binary_file(path, 0, 1);
        EXCEPTION WHEN OTHERS THEN
          code := SQLSTATE; message := SQLERRM;
        END;
        RETURN NEXT;
      END LOOP;
    END $$ LANGUAGE plpgsql`

  /** The output lines of a shell that the server starts. Some shells print an empty line after a refusal. */
  async function shell(script: string): Promise<string[]> {
    await sql('TRUNCATE said')
    await sql(`COPY said FROM PROGRAM ${quoted(`exec 2>&1; ${script}; true`)}`)
    return (await sql('SELECT line FROM said')).map(({ line }) => String(line)).filter(line => line !== '')
  }
  /** The same for a command with `$it` for each item. */
  const each = (these: (string | number)[], command: string) =>
    shell(`for it in ${these.map(one => `"${one}"`).join(' ')}; do ${command}; done`)

  /** Files that must be closed: Coffer's, and those of another instance. */
  const closed = () => [
    ...['master.key', 'coffer.db', 'coffer.db-wal', 'host.json', 'host.log', 'openrc', 'openrc-admin'].map(one =>
      at(one),
    ),
    ...['enrolment.json', 'journal'].map(one => join(server(theirs), one)),
    ...['os_admin.pw', 'os_maint.pw', 'server.key', 'data/PG_VERSION'].map(one => join(volume(theirs), one)),
    site(theirs),
    config(theirs),
    // The log of its own agent is closed too.
    `${server(ours)}.log`,
    at('state', 'servers', `server-${theirs.id}-1.json`),
  ]

  it('is what the start line warns of', () => {
    expect(coffer.output()).toMatch(/^note: --root superuser: .*all tenants must be trusted$/m)
  })

  it('reads no file of others: the operating system refuses', async () => {
    const files = cloudFiles(coffer.dataDir)
    expect(files).toEqual(expect.arrayContaining(closed()))
    // The folder of an unfinished spare cluster is renamed when it is ready.
    const foreign = files.filter(path => !isOwn(path) && !path.startsWith(at('spares', 'draft-')))
    const rows = await sql(`SELECT * FROM tried(ARRAY[${foreign.map(quoted)}])`)
    const read = rows.filter(({ code }) => code === 'read').map(({ path }) => path)
    // Public: the address of the API, and the certificate of the authority.
    expect(read.toSorted()).toEqual([at('ca.pem'), at('endpoint')])
    const refusals = rows.filter(({ code }) => code !== 'read')
    // A file that has disappeared meanwhile is refused too: its folder is closed.
    for (const { path, code, message } of refusals) {
      expect([path, code, message]).toEqual([path, '42501', expect.stringMatching(/: Permission denied$/)])
    }
    expect(refusals.map(({ path }) => path)).toEqual(expect.arrayContaining(closed()))
  })

  it('cannot let a program read, list or change them', async () => {
    const denied = (lines: string[], paths: string[]) => {
      expect(lines).toHaveLength(paths.length)
      for (const [index, path] of paths.entries()) {
        expect(lines[index]).toContain(path)
        expect(lines[index]).toMatch(/: Permission denied$/)
      }
    }
    denied(await each(closed(), 'cat "$it"'), closed())
    const folders = ['', 'volumes', 'servers', 'spares', 'state', 'cache', 'runtime'].map(one => at(one))
    const listed = [...folders, volume(theirs), server(theirs)]
    denied(await each(listed, 'ls "$it"'), listed)

    const parts = readdirSync(coffer.dataDir).map(name => at(name))
    const programs = readdirSync(at('runtime')).map(name => at('runtime', name))
    const rest = [
      coffer.dataDir,
      ...parts,
      ...programs,
      ...closed(),
      site(ours),
      config(ours),
      volume(theirs),
      server(theirs),
    ]
    // The socket of the queue accepts every connection, and then needs a token.
    expect(await each(rest, 'if test -w "$it"; then echo "$it"; fi')).toEqual([at('queue.sock')])
    expect(await shell(`find ${programs.join(' ')} ! -type l -writable`)).toEqual([])
  })

  it('has only its own uid: it can neither inspect nor signal other processes', async () => {
    const { uid } = statSync(volume(ours))
    expect(uid).not.toBe(statSync(volume(theirs)).uid)
    expect(await shell('id -u; id -g; id -G')).toEqual([uid, uid, uid].map(String))
    const pids = processesOf(coffer.dataDir)
      .map(({ pid }) => pid)
      .filter(pid => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid !== uid)
    expect(pids).toContain(coffer.pid)
    const running = await each(pids, 'kill -0 "$it"; cat "/proc/$it/environ"')
    // Two refusals for each process; one that has ended meanwhile is not there.
    expect(running.filter(line => /(not permitted|Permission denied|No such .*)$/.test(line))).toEqual(running)
    expect(running.filter(line => line.endsWith('not permitted')).length).toBeGreaterThanOrEqual(4)
  })

  // Not where the machine forbids it, as in a container: the daemon's first line says so.
  const hides = canHide ? it : it.skip
  hides('sees no process of others in the process list (where /proc can be mounted)', async () => {
    const { uid } = statSync(volume(ours))
    const owners = await shell('for it in /proc/[0-9]*; do stat -c %u "$it"; done')
    expect(new Set(owners.filter(line => /^\d+$/.test(line)))).toEqual(new Set([String(uid)]))
    const lines = await shell('ps axww -o args')
    expect(lines.filter(line => line.includes(theirs.id))).toEqual([])
    expect(lines.filter(line => line.includes(ours.id))).not.toEqual([])
  })

  it('can read the files of its uid, with its agent’s credentials, which open its own queue only', async () => {
    const paths = [site(ours), config(ours), join(volume(ours), 'os_admin.pw')]
    const rows = await sql(`SELECT code FROM tried(ARRAY[${paths.map(quoted)}])`)
    expect(rows).toEqual(paths.map(() => ({ code: 'read' })))
    const [enrolment] = await sql(`SELECT pg_read_file(${quoted(join(server(ours), 'enrolment.json'))}) AS text`)
    const { credentials } = JSON.parse(String(enrolment?.['text']))
    const { token, address } = credentials.access
    expect(dirname(address)).toBe(coffer.dataDir)
    const queue = socketQueue({ path: address, token: async () => token, clock: systemClock, log: silentLog })
    const atOnce = { max: 1, waitMs: 0 }
    try {
      expect(await queue.receive(guestTopic(ours.id, 1), atOnce)).toEqual([])
      for (const topic of [guestTopic(theirs.id, 1), guestTopic(ours.id, 2), 'conductor', 'taskmanager']) {
        await expect(queue.receive(topic, atOnce)).rejects.toThrow(AccessDenied)
      }
      for (const topic of [guestTopic(theirs.id, 1), guestTopic(ours.id, 1), 'taskmanager']) {
        await expect(queue.send(topic, [{ body: 'x' }])).rejects.toThrow(AccessDenied)
        await expect(queue.remove(topic)).rejects.toThrow(AccessDenied)
      }
    } finally {
      await queue.close()
    }
  })
})
