import { readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { guestTopic } from '../../lib/contracts/conductor.ts'
import { NotAdmitted } from '../../lib/platform/queue/queue.ts'
import { socketQueue } from '../../lib/platform/queue/socket-client.ts'
import { systemClock } from '../../lib/wiring/system.ts'
import { filesOf } from '../files.ts'
import { silentLog } from '../kit/random.ts'
import { query } from './api-helpers.ts'
import { type Answer, type Coffer, createInstance, processesOf, type Session, startCoffer, wipe } from './coffer.ts'

jest.setTimeout(120_000)

/** Without root all instances run as one user, and nothing of this holds. */
const asRoot = process.getuid?.() === 0 ? describe : describe.skip

asRoot('a superuser of an instance, where each has a uid of its own (as root only)', () => {
  let coffer: Coffer
  let demo: Session
  let mine: Answer['body']
  let theirs: Answer['body']
  beforeAll(async () => {
    coffer = await startCoffer()
    demo = await coffer.login()
    mine = await createInstance(demo, { databases: [{ name: 'cart' }] })
    theirs = await createInstance(await coffer.login('openrc-alt'), { databases: [{ name: 'cart' }] })
    expect((await demo.call('POST', `/instances/${mine.id}/root`, { password: 'root1' })).status).toBe(200)
    await sql('CREATE TABLE said (line text)')
    await sql(TRIED)
  })
  afterAll(async () => {
    await coffer?.stop()
    await wipe(coffer.dataDir)
  })

  /** What a superuser's statement answers. */
  const sql = (text: string) => query(mine, { user: 'postgres', password: 'root1', database: 'cart' }, text)
  const at = (...path: string[]) => join(coffer.dataDir, ...path)
  const volume = ({ id }: { id: string }) => at('volumes', `volume-${id}-1`)
  const server = ({ id }: { id: string }) => at('servers', `server-${id}-1`)
  const site = (instance: { id: string }) => `${server(instance)}.site.json`
  const isOwn = (path: string) =>
    [volume(mine), server(mine)].some(folder => path.startsWith(`${folder}/`)) || path === site(mine)
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`

  /** Tries to read the first byte of each file, and tells what came of it. */
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

  /** What a shell of the server says, line by line; some put an empty one after a refusal. */
  async function shell(script: string): Promise<string[]> {
    await sql('TRUNCATE said')
    await sql(`COPY said FROM PROGRAM ${quoted(`exec 2>&1; ${script}; true`)}`)
    return (await sql('SELECT line FROM said')).map(({ line }) => String(line)).filter(line => line !== '')
  }
  /** The same of a command for each of these. */
  const each = (these: (string | number)[], command: string) =>
    shell(`for it in ${these.map(one => `"${one}"`).join(' ')}; do ${command}; done`)

  /** The files that this is about: Coffer's own, and those of another instance. */
  const closed = () => [
    ...['master.key', 'coffer.db', 'coffer.db-wal', 'host.json', 'host.log', 'openrc', 'openrc-admin'].map(one =>
      at(one),
    ),
    ...['config.json', 'enrolment.json', 'journal'].map(one => join(server(theirs), one)),
    ...['os_admin.pw', 'os_maint.pw', 'server.key', 'data/PG_VERSION'].map(one => join(volume(theirs), one)),
    site(theirs),
    // Not even its own agent's log is its own.
    `${server(mine)}.log`,
    at('state', 'servers', `server-${theirs.id}-1.json`),
  ]

  it('reads no file but its own: the operating system refuses', async () => {
    const files = filesOf(coffer.dataDir)
    expect(files).toEqual(expect.arrayContaining(closed()))
    // A spare cluster in the making has another name once it is made.
    const foreign = files.filter(path => !isOwn(path) && !path.startsWith(at('spares', 'draft-')))
    const rows = await sql(`SELECT * FROM tried(ARRAY[${foreign.map(quoted)}])`)
    const read = rows.filter(({ code }) => code === 'read').map(({ path }) => path)
    // What everybody may know: where it is served, and whom to trust.
    expect(read.toSorted()).toEqual([at('ca.pem'), at('endpoint')])
    const refusals = rows.filter(({ code }) => code !== 'read')
    // What has gone meanwhile is refused before it is missed: its folder is closed.
    for (const { path, code, message } of refusals) {
      expect([path, code, message]).toEqual([path, '42501', expect.stringMatching(/: Permission denied$/)])
    }
    expect(refusals.map(({ path }) => path)).toEqual(expect.arrayContaining(closed()))
  })

  it('has no program read, list or change them either', async () => {
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
    const rest = [coffer.dataDir, ...parts, ...programs, ...closed(), site(mine), volume(theirs), server(theirs)]
    // The socket of the queue takes anybody's connection, and then a token.
    expect(await each(rest, 'if test -w "$it"; then echo "$it"; fi')).toEqual([at('queue.sock')])
    expect(await shell(`find ${programs.join(' ')} ! -type l -writable`)).toEqual([])
  })

  it('is its own uid alone: nothing of other processes is seen or ended', async () => {
    const { uid } = statSync(volume(mine))
    expect(uid).not.toBe(statSync(volume(theirs)).uid)
    expect(await shell('id -u; id -g; id -G')).toEqual([uid, uid, uid].map(String))
    const pids = processesOf(coffer.dataDir)
      .map(({ pid }) => pid)
      .filter(pid => statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid !== uid)
    expect(pids).toContain(coffer.pid)
    const running = await each(pids, 'if test -d "/proc/$it"; then kill -0 "$it"; cat "/proc/$it/environ"; fi')
    // Two refusals of each that has not ended meanwhile.
    expect(running.filter(line => /(not permitted|Permission denied)$/.test(line))).toEqual(running)
    expect(running.length).toBeGreaterThanOrEqual(8)
  })

  it('can read what is of its uid: its volume and its agent’s credentials, which reach its own queue only', async () => {
    const own = [site(mine), join(server(mine), 'config.json'), join(volume(mine), 'os_admin.pw')]
    const rows = await sql(`SELECT code FROM tried(ARRAY[${own.map(quoted)}])`)
    expect(rows).toEqual(own.map(() => ({ code: 'read' })))
    const [kept] = await sql(`SELECT pg_read_file(${quoted(join(server(mine), 'enrolment.json'))}) AS text`)
    const { credentials } = JSON.parse(String(kept?.['text']))
    const { token, address } = credentials.access
    expect(dirname(address)).toBe(coffer.dataDir)
    const queue = socketQueue({ path: address, token: async () => token, clock: systemClock, log: silentLog })
    const atOnce = { max: 1, waitMs: 0 }
    try {
      expect(await queue.receive(guestTopic(mine.id, 1), atOnce)).toEqual([])
      for (const topic of [guestTopic(theirs.id, 1), guestTopic(mine.id, 2), 'conductor', 'taskmanager']) {
        await expect(queue.receive(topic, atOnce)).rejects.toThrow(NotAdmitted)
      }
      for (const topic of [guestTopic(theirs.id, 1), guestTopic(mine.id, 1), 'taskmanager']) {
        await expect(queue.send(topic, [{ body: 'x' }])).rejects.toThrow(NotAdmitted)
        await expect(queue.remove(topic)).rejects.toThrow(NotAdmitted)
      }
    } finally {
      await queue.close()
    }
  })
})
