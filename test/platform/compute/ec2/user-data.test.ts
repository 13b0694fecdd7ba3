import { describe, expect, it } from '@jest/globals'
import { MachineConfig } from '../../../../guest-agent/boot/ec2/machine.ts'
import { cloudConfig } from '../../../../lib/platform/compute/ec2/user-data.ts'

describe('the user data of a machine', () => {
  const machine = {
    userData: { instance: 'i1', generation: 2, secret: "it's a $ecret", enrolUrl: 'https://api.example.org/enrol' },
    datastore: { manager: 'postgresql', version: '18' },
    volume: 'vol-0123456789abcdef0',
    port: 5432,
    logLevel: 'info',
  }
  const url = 'https://b.s3.eu-central-1.amazonaws.com/agent/agent.tar.gz?X-Amz-Signature=1'
  const text = cloudConfig(machine, url)
  const config = JSON.parse(text.slice('#cloud-config\n'.length))
  const file = (path: string) => config.write_files.find((entry: { path: string }) => entry.path === path)

  it('is a cloud-config with a machine.json that the machine can parse and only root can read', () => {
    expect(text).toMatch(/^#cloud-config\n\{/)
    // EC2's limit: 16 KB before base64.
    expect(text.length).toBeLessThan(16_384)
    expect(MachineConfig.parse(JSON.parse(file('/etc/coffer/machine.json').content))).toEqual(machine)
    expect(file('/etc/coffer/machine.json')).toMatchObject({ permissions: '0600', owner: 'root:root' })
    expect(file('/etc/coffer/agent.url')).toMatchObject({ content: url, permissions: '0600' })
    expect(config.runcmd).toEqual([['/etc/coffer/install.sh']])
  })

  it('holds the secret and the URL in these two files only, which no shell reads', () => {
    const others = config.write_files.filter(({ path }: { path: string }) => !/machine\.json|agent\.url/.test(path))
    expect(JSON.stringify(others)).not.toMatch(/ecret|X-Amz/)
    expect(file('/etc/coffer/install.sh').content).toMatch(/sha256sum --check[^\n]*\n(?:.*\n)*.*systemctl start/)
  })

  it('denies the agent and its database the metadata service', () => {
    const unit = file('/etc/systemd/system/coffer-agent.service').content
    expect(unit).toMatch(/^User=coffer$/m)
    expect(unit).toMatch(/^IPAddressDeny=169\.254\.169\.254\/32 fd00:ec2::254\/128$/m)
  })
})
