/** A machine's configuration, in `/etc/coffer/machine.json` from its first start. */
interface MachineConfig {
  /** What its agent enrols with; the secret is void after the agent's first report. */
  userData: { instance: string; generation: number; secret: string; enrolUrl: string }
  datastore: { manager: string; version: string }
  /** AWS's id of the data volume. */
  volume: string
  /** The database's port. */
  port: number
  logLevel: string
}

const CONFIG = '/etc/coffer/machine.json'
const PROGRAM = '/opt/coffer'

/**
 * The user id is the same on every machine: its files on the volume outlive the machine. The bundle comes from a presigned
 * URL over TLS and is checked against the sums inside it, so that a truncated file is never run.
 */
const INSTALL = `#!/bin/sh
set -eu
umask 022
id coffer >/dev/null 2>&1 || useradd --system --uid 27432 --home-dir /var/lib/coffer --shell /usr/sbin/nologin coffer
mkdir -p ${PROGRAM}
curl --fail --silent --show-error --location --retry 10 --retry-all-errors --max-time 600 --output ${PROGRAM}/agent.tar.gz "$(cat /etc/coffer/agent.url)"
tar --extract --gzip --no-same-owner --file ${PROGRAM}/agent.tar.gz --directory ${PROGRAM}
cd ${PROGRAM}
sha256sum --check --quiet SHA256SUMS
rm -f /etc/coffer/agent.url ${PROGRAM}/agent.tar.gz
systemctl daemon-reload
systemctl enable coffer-machine.service coffer-grow.timer coffer-agent.service
systemctl start --no-block coffer-machine.service coffer-grow.timer coffer-agent.service
`

/** Prepares the machine as root at every start: disk, cluster, the agent's configuration. */
const MACHINE_UNIT = `[Unit]
Description=Coffer: volume and agent configuration of this instance
Wants=network-online.target
After=network-online.target local-fs.target
ConditionPathExists=${CONFIG}
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=${PROGRAM}/node ${PROGRAM}/guest-machine.mjs ${CONFIG}
TimeoutStartSec=600
Restart=on-failure
RestartSec=5
`

/**
 * The agent and its database, as a user of their own without access to the metadata service: a database superuser has
 * none either. It is started again until the volume is mounted.
 */
const AGENT_UNIT = `[Unit]
Description=Coffer: guest agent
Wants=coffer-machine.service
After=coffer-machine.service
StartLimitIntervalSec=0
[Service]
User=coffer
ExecStartPre=/usr/bin/mountpoint -q /var/lib/coffer/volume
ExecStart=${PROGRAM}/node --max-old-space-size=64 --max-semi-space-size=1 ${PROGRAM}/guest-agent.mjs /var/lib/coffer/agent
Restart=always
RestartSec=2
TimeoutStopSec=60
KillMode=process
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=/var/lib/coffer
PrivateTmp=yes
IPAddressDeny=169.254.169.254/32 fd00:ec2::254/128
[Install]
WantedBy=multi-user.target
`

const GROW_UNIT = `[Unit]
Description=Coffer: the file system grows with its volume
[Service]
Type=oneshot
ExecStart=${PROGRAM}/node ${PROGRAM}/guest-machine.mjs ${CONFIG} --grow
`

const GROW_TIMER = `[Unit]
Description=Coffer: checks whether the volume has grown
[Timer]
OnActiveSec=30s
OnUnitActiveSec=30s
[Install]
WantedBy=timers.target
`

/**
 * The user data of a machine: a cloud-config (as JSON, which is YAML) that fetches the agent and starts it. It stays
 * readable on the machine, so it holds only a secret that the agent's first report makes void, and a URL that expires.
 */
export function cloudConfig(machine: MachineConfig, agentUrl: string): string {
  const file = (path: string, content: string, permissions = '0644') => ({
    path,
    content,
    permissions,
    owner: 'root:root',
  })
  const unit = (name: string, content: string) => file(`/etc/systemd/system/${name}`, content)
  const config = {
    write_files: [
      file(CONFIG, JSON.stringify(machine), '0600'),
      file('/etc/coffer/agent.url', agentUrl, '0600'),
      file('/etc/coffer/install.sh', INSTALL, '0700'),
      unit('coffer-machine.service', MACHINE_UNIT),
      unit('coffer-agent.service', AGENT_UNIT),
      unit('coffer-grow.service', GROW_UNIT),
      unit('coffer-grow.timer', GROW_TIMER),
    ],
    runcmd: [['/etc/coffer/install.sh']],
  }
  return `#cloud-config\n${JSON.stringify(config)}\n`
}
