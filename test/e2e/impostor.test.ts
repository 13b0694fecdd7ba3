import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { endpointOf, query } from './api-helpers.ts'
import { ANN, CART, ownCloud } from './cloud.ts'
import { type Answer, createInstance, until } from './coffer.ts'
import { sendSignal } from './fault-injection.ts'

/** Without root all instances run as one user, and none of this holds. */
const asRoot = process.getuid?.() === 0 ? describe : describe.skip

/** Tries without end to get the address, and asks whoever comes there for a password in clear text. */
const IMPOSTOR = [
  'use Socket; my ($address, $port, $tried) = @ARGV; my $tries = 0;',
  'while (1) { socket(my $door, PF_INET, SOCK_STREAM, 0); setsockopt($door, SOL_SOCKET, SO_REUSEADDR, 1);',
  'if (bind($door, sockaddr_in($port, inet_aton($address))) && listen($door, 8)) {',
  'while (accept(my $client, $door)) { sysread $client, my $start, 1000; syswrite $client, pack("aNN", "R", 8, 3); } }',
  'if (++$tries == 100) { open my $file, ">", $tried }',
  'select undef, undef, undef, 0.001 }',
].join(' ')

asRoot('a program of a tenant that wants the address of another database (as root only)', () => {
  const { coffer, demo, alt, admin } = ownCloud(['--spares', '1', '--root', 'superuser'])
  let hostile: Answer['body']
  let victim: Answer['body']
  beforeAll(async () => {
    hostile = await createInstance(demo, { databases: [{ name: 'cart' }] })
    victim = await createInstance(alt, CART)
    expect((await demo.call('POST', `/instances/${hostile.id}/root`, { password: 'root1' })).status).toBe(200)
    await sql('CREATE TABLE said (line text)')
    await query(victim, ANN, 'CREATE TABLE kept AS SELECT 7 AS value')
  })
  const sql = (text: string) => query(hostile, { user: 'root', password: 'root1', database: 'cart' }, text)
  const volume = ({ id }: { id: string }) => join(coffer.dataDir, 'volumes', `volume-${id}-1`)
  const tried = () => join(volume(hostile), 'tried')
  const postmaster = () => Number(readFileSync(join(volume(victim), 'data', 'postmaster.pid'), 'utf8').split('\n')[0])
  const showVictim = async () => (await alt.call('GET', `/instances/${victim.id}`)).body.instance
  const actOnVictim = (action: object) => admin.call('POST', `/mgmt/instances/${victim.id}/action`, action)
  /** Who listens at the victim's address: uids. */
  const listeners = () => {
    const { host, port } = endpointOf(victim)
    const bytes = host.split('.').map((part: string) => Number(part).toString(16).padStart(2, '0'))
    const local = `${bytes.reverse().join('')}:${port.toString(16)}`.toUpperCase()
    const rows = readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .map(line => line.trim().split(/ +/))
    return rows.filter(([, address, , state]) => address === local && state === '0A').map(row => Number(row[7]))
  }

  it('does not get it while that is stopped', async () => {
    expect((await actOnVictim({ stop: {} })).status).toBe(202)
    await until('stop', async () => (await showVictim()).operating_status === 'SHUTDOWN')
    // The daemon, which is root, listens there and refuses everybody.
    await until('hold', async () => listeners().includes(0))
    const program = join(volume(hostile), 'impostor.pl')
    await sql(`COPY (SELECT '${IMPOSTOR.replaceAll("'", "''")}') TO '${program}'`)
    const { host, port } = endpointOf(victim)
    await sql(`COPY said FROM PROGRAM 'setsid perl ${program} ${host} ${port} ${tried()} >/dev/null 2>&1 </dev/null &'`)
    await until('a hundred tries', async () => existsSync(tried()))
    expect(listeners()).toEqual([0])
    await expect(query(victim, ANN, 'SELECT 1')).rejects.toThrow(/ECONNRESET|terminated unexpectedly/)
  })

  it('is ended with its instance if it gets it when that starts or dies, and the victim comes back whole', async () => {
    const { uid } = statSync(volume(victim))
    expect((await alt.call('POST', `/instances/${victim.id}/action`, { restart: {} })).status).toBe(202)
    const ended = await until('end of the impostor', async () => {
      const { instance } = (await demo.call('GET', `/instances/${hostile.id}`)).body
      if (instance.status === 'ERROR') return instance
      // Now and then the victim is faster.
      if (listeners().includes(uid)) sendSignal(postmaster(), 'SIGKILL')
      return false
    })
    expect(ended.fault.message).toBe(
      'A program of this instance listened at the address of another one. The instance was ended; an administrator can reboot it.',
    )
    // It may have been ended just now, and still show as it was before.
    const rows = await until('the victim', () =>
      query(victim, ANN, 'SELECT value FROM kept').catch(() => false as const),
    )
    expect(rows).toEqual([{ value: 7 }])
    await until('its health', async () => (await showVictim()).operating_status === 'HEALTHY')
    expect(listeners()).toEqual([uid])
  })

  it('can be rebooted by an administrator, and has its data', async () => {
    const reboot = await admin.call('POST', `/mgmt/instances/${hostile.id}/action`, { reboot: {} })
    expect(reboot.status).toBe(202)
    await until('reboot', async () => {
      const { instance } = (await demo.call('GET', `/instances/${hostile.id}`)).body
      return instance.status === 'ACTIVE' && instance.operating_status === 'HEALTHY'
    })
    expect(await sql('SELECT count(*)::int AS lines FROM said')).toEqual([{ lines: 0 }])
  })
})
