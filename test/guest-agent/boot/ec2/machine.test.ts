import { once } from 'node:events'
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { growVolume, prepareMachine, type System } from '../../../../guest-agent/boot/ec2/machine.ts'
import { metadataOf } from '../../../../guest-agent/boot/ec2/metadata.ts'
import { AgentConfig, AgentSite } from '../../../../guest-agent/config.ts'
import { MACHINES } from '../../../../lib/datastores/machines.ts'
import { virtualClock } from '../../../kit/virtual-clock.ts'

const machine = {
  userData: { instance: 'i1', generation: 1, secret: 's', enrolUrl: 'https://localhost/enrol' },
  datastore: { manager: 'postgresql', version: '18.3' },
  volume: 'vol-0123abcd',
  port: 5432,
  logLevel: 'info',
}
/** A stand-in for initdb; the tests of the driver use the real one. */
const INITDB =
  '#!/bin/sh\n[ "$1" = --version ] && echo "initdb (PostgreSQL) 18.4" && exit\nmkdir -p "$2" && echo 18 > "$2/PG_VERSION"\n'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coffer-cloud-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** A machine whose disk has a file system of this type (none if empty), and the commands that it ran. */
async function system(type = '', changes: Partial<System> = {}) {
  const ran: string[] = []
  const disk = { type, mounted: false }
  for (const version of ['18', '18.3']) {
    const bin = join(folder, 'engines', version, 'bin')
    await mkdir(bin, { recursive: true })
    await writeFile(join(bin, 'initdb'), INITDB)
    await chmod(join(bin, 'initdb'), 0o755)
  }
  await mkdir(join(folder, 'disks'), { recursive: true })
  const path = join(folder, 'disks', 'nvme-Amazon_Elastic_Block_Store_vol0123abcd')
  await writeFile(path, Buffer.alloc(8_192))
  const metadata: Record<string, string> = { 'local-ipv4': '10.0.0.7' }
  const parts: System = {
    async run(program, args) {
      ran.push([program, ...args].join(' ').replaceAll(folder, ''))
      if (program === 'mountpoint') return { status: disk.mounted ? 0 : 32, output: '' }
      if (program === 'blkid') return { status: disk.type === '' ? 2 : 0, output: `${disk.type}\n` }
      if (program === 'mkfs.ext4') disk.type = 'ext4'
      if (program === 'mount') disk.mounted = true
      return { status: 0, output: '' }
    },
    metadata: async path => metadata[path],
    clock: virtualClock(),
    home: join(folder, 'home'),
    disks: join(folder, 'disks'),
    machines: { postgresql: { ...MACHINES.postgresql, imageFolder: join(folder, 'engines') } },
    owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    hardware: { ramMb: 400, vcpus: 2 },
    ...changes,
  }
  return { system: parts, ran, disk, path, metadata }
}

describe('a machine on EC2', () => {
  it("gets a file system, a cluster and its agent's files at its first start", async () => {
    const { system: parts, ran } = await system()
    await prepareMachine(machine, parts)
    const disk = '/disks/nvme-Amazon_Elastic_Block_Store_vol0123abcd'
    expect(ran).toEqual([
      'mountpoint -q /home/volume',
      `blkid -p -o value -s TYPE ${disk}`,
      `mkfs.ext4 -q -m 1 ${disk}`,
      `mount -o noatime,nodev,nosuid ${disk} /home/volume`,
    ])
    const cluster = join(parts.home, 'volume', 'cluster')
    expect(await readdir(cluster)).toEqual(expect.arrayContaining(['data', 'os_maint.pw']))
    const text = (name: string) => readFile(join(parts.home, name), 'utf8')
    const config = AgentConfig.parse(JSON.parse(await text('agent.config.json')))
    expect(config).toEqual({ userData: machine.userData, datastore: machine.datastore, logLevel: 'info' })
    expect(AgentSite.parse(JSON.parse(await text('agent.site.json')))).toEqual({
      volume: cluster,
      engine: join(folder, 'engines', '18.3'),
      address: '10.0.0.7',
      port: 5432,
      flavor: { ramMb: 400, vcpus: 2 },
      root: 'superuser',
    })
    expect((await lstat(join(parts.home, 'agent.config.json'))).mode & 0o777).toBe(0o640)
  })

  it('keeps its data at later starts, and uses its new engine and size', async () => {
    const { system: parts, ran, disk, metadata } = await system()
    await prepareMachine(machine, parts)
    const mark = join(parts.home, 'volume', 'cluster', 'mark')
    await writeFile(mark, 'mine')
    disk.mounted = false
    ran.length = 0
    metadata['tags/instance/coffer-engine'] = '18'
    await prepareMachine(machine, { ...parts, hardware: { ramMb: 2_000, vcpus: 2 } })
    expect(ran.map(line => line.split(' ')[0])).toEqual(['mountpoint', 'blkid', 'mount'])
    expect(await readFile(mark, 'utf8')).toBe('mine')
    expect(JSON.parse(await readFile(join(parts.home, 'agent.site.json'), 'utf8'))).toMatchObject({
      engine: join(folder, 'engines', '18'),
      flavor: { ramMb: 2_000, vcpus: 2 },
    })
  })

  it('replaces a cluster that was made in part', async () => {
    const { system: parts } = await system()
    const draft = join(parts.home, 'volume', 'draft')
    await mkdir(draft, { recursive: true })
    await writeFile(join(draft, 'os_maint.pw'), 'half')
    await prepareMachine(machine, parts)
    expect(await readdir(join(parts.home, 'volume'))).toEqual(['cluster'])
  })

  it('never makes a file system on a disk that has data or cannot be read', async () => {
    for (const type of ['xfs', 'LVM2_member']) {
      const { system: parts, ran } = await system(type)
      await expect(prepareMachine(machine, parts)).rejects.toThrow(type)
      expect(ran.join()).not.toContain('mkfs')
    }
    const { system: written, ran: run1, path } = await system()
    await writeFile(path, Buffer.from('partition table, or whatever it is'))
    await expect(prepareMachine(machine, written)).rejects.toThrow('something else')
    expect(run1.join()).not.toContain('mkfs')
    const { system: parts, ran } = await system()
    const run: System['run'] = async (program, args) =>
      program === 'blkid' ? { status: 8, output: 'read error' } : parts.run(program, args)
    await expect(prepareMachine(machine, { ...parts, run })).rejects.toThrow('read error')
    expect(ran.join()).not.toContain('mkfs')
  })

  it('waits for its volume, and fails if none comes', async () => {
    const { system: parts, path } = await system()
    const clock = virtualClock()
    await rm(path)
    const waiting = prepareMachine(machine, { ...parts, clock })
    await clock.advance(5_000)
    await writeFile(path, Buffer.alloc(8_192))
    await clock.advance(5_000)
    await waiting
    await rm(path)
    const vain = prepareMachine(machine, { ...parts, clock }).catch((error: Error) => error.message)
    await clock.advance(700_000)
    expect(await vain).toBe('the volume vol-0123abcd was not attached')
  })

  it('fails if its image does not have the engine', async () => {
    const { system: parts } = await system()
    const other = { ...machine, datastore: { manager: 'postgresql', version: '9' } }
    await expect(prepareMachine(other, parts)).rejects.toThrow('the image has no engine in')
  })

  // Only root can give a file away.
  const asRoot = process.getuid?.() === 0 ? it : it.skip
  asRoot('writes to no file of root that a link in its agent’s folder leads to (as root only)', async () => {
    const victim = join(folder, 'victim')
    await chmod(folder, 0o755)
    await writeFile(victim, 'precious', { mode: 0o600 })
    const { system: parts } = await system('', { owner: { uid: 1_500_000_001, gid: 1_500_000_001 } })
    await prepareMachine(machine, parts)
    for (const name of ['config.json.new', 'config.json', 'enrolment.json', 'journal']) {
      const path = join(parts.home, 'agent', name)
      await rm(path, { force: true })
      await symlink(victim, path)
      await prepareMachine(machine, parts)
    }
    expect([await readFile(victim, 'utf8'), (await lstat(victim)).uid]).toEqual(['precious', 0])
  })

  it('grows its file system with its volume', async () => {
    const { system: parts, ran, path } = await system('ext4')
    await growVolume(machine, parts)
    expect(ran).toEqual(['resize2fs /disks/nvme-Amazon_Elastic_Block_Store_vol0123abcd'])
    await rm(path)
    await growVolume(machine, parts)
    expect(ran).toHaveLength(1)
  })
})

describe('the metadata service', () => {
  it('is queried with a token (IMDSv2), and a missing path is undefined', async () => {
    const server = createServer((request, response) => {
      const { method, url, headers } = request
      if (method === 'PUT' && url === '/latest/api/token' && headers['x-aws-ec2-metadata-token-ttl-seconds']) {
        response.end('token-1')
        return
      }
      const allowed = headers['x-aws-ec2-metadata-token'] === 'token-1'
      const exists = url === '/latest/meta-data/local-ipv4'
      response.writeHead(allowed ? (exists ? 200 : 404) : 401).end(exists ? '10.0.0.7' : '')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const metadata = metadataOf(`http://127.0.0.1:${port}`)
    expect(await metadata('local-ipv4')).toBe('10.0.0.7')
    expect(await metadata('tags/instance/coffer-engine')).toBeUndefined()
    server.closeAllConnections()
    server.close()
  })
})
