import { execFile, execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { MACHINES } from '../../../lib/datastores/machines.ts'
import { messageOf } from '../../../lib/kit/errors.ts'
import { systemClock, systemLog } from '../../../lib/wiring/system.ts'
import { growVolume, MachineConfig, prepareMachine, type System } from './machine.ts'
import { metadataOf } from './metadata.ts'

/**
 * `node guest-machine.mjs <machine.json>`, as root at every start of a machine, before its agent; periodically with
 * `--grow`.
 */
const machine = MachineConfig.parse(JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')))
const log = systemLog('guest-machine', machine.logLevel).child({ instance: machine.userData.instance })
const idOf = (flag: string) => Number(execFileSync('id', [flag, 'coffer'], { encoding: 'utf8' }))

const system: System = {
  run: (program, args) =>
    new Promise((resolve, reject) => {
      const child = execFile(program, args, (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') reject(error)
        else resolve({ status: Number(error?.code ?? 0), output: `${stdout}${stderr}` })
      })
      child.stdin?.end()
    }),
  metadata: metadataOf('http://169.254.169.254'),
  clock: systemClock,
  home: '/var/lib/coffer',
  disks: '/dev/disk/by-id',
  machines: MACHINES,
  owner: { uid: idOf('-u'), gid: idOf('-g') },
  hardware: { ramMb: Math.floor(totalmem() / 2 ** 20), vcpus: cpus().length },
}

const grows = process.argv[3] === '--grow'
await (grows ? growVolume : prepareMachine)(machine, system).catch(error => {
  log.error({ error: messageOf(error) }, grows ? 'growing the volume failed' : 'preparing the machine failed')
  process.exit(1)
})
