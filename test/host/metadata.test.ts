import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { HOSTILE_UIDS, whyNot } from './hostile.ts'

const MODULE = join(import.meta.dirname, '..', '..', 'host', 'metadata.ts')

/** Two network namespaces and a cable: the first is the machine, in the second the cloud's metadata service listens. */
const NETWORK = `set -e
ip link set lo up
unshare --net sleep 60 &
cloud=$!
while [ "$(readlink /proc/$cloud/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
ip link add machine type veth peer name cloud netns $cloud
ip addr add 169.254.1.1/16 dev machine
ip link set machine up
nsenter --target $cloud --net sh -c 'ip addr add 169.254.169.254/16 dev cloud; ip link set cloud up'
nsenter --target $cloud --net perl -e 'use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0);
  bind($s, sockaddr_in(80, INADDR_ANY)); listen($s, 5); while (accept(my $c, $s)) { close $c }' &
until bash -c '</dev/tcp/169.254.169.254/80' 2>/dev/null; do sleep 0.01; done
`
const CLEAN = '\nkill $cloud $(jobs -p) 2>/dev/null || true\n'

/** What a program of the uid says that connects to the address. */
const tryAs = (uid: number) =>
  `setpriv --reuid ${uid} --clear-groups perl -e 'use Socket; socket(my $s, PF_INET, SOCK_STREAM, 0);
    print connect($s, sockaddr_in(80, inet_aton("169.254.169.254"))) ? "open " : "closed "'\n`
const call = (text: string) =>
  `${process.execPath} --disable-warning=ExperimentalWarning --input-type=module -e '
    const { closeMetadata, openMetadata } = await import("${MODULE}")
    process.stdout.write(String(${text}) + " ")'\n`

const canTry = whyNot === undefined && spawnSync('unshare', ['--net', 'ip', 'rule', 'list']).status === 0
const asRoot = canTry ? describe : describe.skip

asRoot('the metadata address of a cloud (as root, with network namespaces and perl)', () => {
  let dir: string
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'coffer-metadata-'))
  })
  afterEach(() => rmSync(dir, { recursive: true }))

  /** The words that a script prints on such a machine. */
  async function onMachine(network: string, script: string): Promise<string[]> {
    const child = spawn('unshare', ['--net', 'bash', '-c', `${network}${script}${CLEAN}`], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const chunks: Buffer[] = []
    child.stdout.on('data', chunk => chunks.push(chunk))
    await once(child, 'close')
    return String(Buffer.concat(chunks)).trim().split(/\s+/)
  }

  it('is closed to the uids of instances alone, once, and opened again', async () => {
    const close = call(`await closeMetadata(${HOSTILE_UIDS})`)
    const tries = [HOSTILE_UIDS, HOSTILE_UIDS + 49_999, HOSTILE_UIDS - 1, HOSTILE_UIDS + 50_000].map(tryAs).join('')
    const count = "ip rule list | grep -c prohibit | tr '\\n' ' '\n"
    const script = [tries, close, close, tries, count, call(`await openMetadata(${HOSTILE_UIDS})`), tries].join('')
    expect(await onMachine(NETWORK, script)).toEqual([
      ...['open', 'open', 'open', 'open'],
      ...['closed', 'closed'],
      ...['closed', 'closed', 'open', 'open'],
      '1',
      'undefined',
      ...['open', 'open', 'open', 'open'],
    ])
  })

  it('is left alone where there is none', async () => {
    const script = `${call(`await closeMetadata(${HOSTILE_UIDS})`)}ip rule list | grep -c prohibit\n`
    expect(await onMachine('ip link set lo up\n', script)).toEqual(['none', '0'])
  })
})
