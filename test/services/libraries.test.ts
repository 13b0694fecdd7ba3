import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { until } from '../e2e/coffer.ts'
import { createActive, type Login, type PythonResult, type ShownInstance, startWorld, type World } from './clients.ts'

describe('clients as libraries', () => {
  let world: World
  let clouds: Login
  beforeAll(async () => {
    world = await startWorld()
    clouds = { OS_CLIENT_CONFIG_FILE: join(world.coffer.dataDir, 'clouds.yaml') }
  }, 90_000)
  afterAll(() => world.end(), 60_000)

  /** Runs Python with openstacksdk's connection `conn` and its proxy `db`. */
  async function sdk(code: string): Promise<PythonResult> {
    return world.python(
      clouds,
      `import openstack\nconn = openstack.connect(cloud='coffer')\ndb = conn.database\n${code}`,
    )
  }
  /** The same for code that must succeed; returns its `result`. */
  async function ok(code: string): Promise<PythonResult['result']> {
    const answer = await sdk(code)
    expect({ code, error: answer.error, message: answer.message }).toEqual({
      code,
      error: undefined,
      message: undefined,
    })
    return answer.result
  }

  describe('openstacksdk', () => {
    let id: string
    it('lists, gets and finds flavors', async () => {
      expect(await ok('result = [(one.id, one.name, one.ram) for one in db.flavors()]')).toContainEqual([
        1,
        'db.tiny',
        512,
      ])
      const lookups = "result = [db.get_flavor(1).name, db.find_flavor('db.small').id, db.find_flavor('none')]"
      expect(await ok(lookups)).toEqual(['db.tiny', 2, null])
    })

    it('creates an instance with its own field for the flavor, and finds it', async () => {
      id = await ok(`
instance = db.create_instance(name='sdk', flavor='1', volume={'size': 1}, datastore={'type': 'postgresql', 'version': '18'})
result = instance.id`)
      await until('ACTIVE', async () => (await ok(`result = db.get_instance('${id}').status`)) === 'ACTIVE')
      const lookups =
        "result = [db.find_instance('sdk').id, [one.name for one in db.instances()], db.find_instance('none')]"
      expect(await ok(lookups)).toEqual([id, ['sdk'], null])
    })

    it('creates, lists and deletes databases and users', async () => {
      expect(await ok(`result = db.create_database('${id}', name='books').name`)).toBe('books')
      const databases = () => ok(`result = [one.name for one in db.databases('${id}')]`)
      await until('books', async () => (await databases()).includes('books'))
      await ok(`db.create_user('${id}', name='bob', password='pw2', databases=[{'name': 'books'}])`)
      const users = () => ok(`result = [(one.name, one.databases) for one in db.users('${id}')]`)
      await until('bob', async () => (await users()).length === 1)
      expect(await users()).toEqual([['bob', [{ name: 'books' }]]])
      await ok(`db.delete_user('bob', '${id}'); db.delete_database('books', '${id}')`)
      await until('nothing left', async () => (await users()).length + (await databases()).length === 0)
    })

    it('does not request single databases and users, as Trove defines', async () => {
      for (const verb of ['get_database', 'find_database', 'get_user', 'find_user']) {
        // Trove has a request for a single user and none for a database: the library implements neither.
        expect(await sdk(`db.${verb}('none', '${id}')`)).toMatchObject({ error: 'MethodNotSupported' })
      }
    })

    it('updates, enables root, resizes and restarts, and waits for the statuses that it knows', async () => {
      expect(
        await ok(`
instance = db.update_instance('${id}', name='sdk two')
one = db.get_instance('${id}')
before = one.is_root_enabled(db)
login = one.enable_root_user(db)
result = [instance.name, before, one.is_root_enabled(db), login['name'], len(login['password'])]`),
      ).toEqual(['sdk two', false, true, 'root', 36])
      const runUntilActive = async (action: string) =>
        ok(`
one = db.get_instance('${id}')
one.${action}
word = db.get_instance('${id}').status
one = db.wait_for_status(db.get_instance('${id}'), status='ACTIVE', failures=['ERROR', 'SHUTDOWN', 'FAILED'], interval=1, wait=60)
result = [word, one.flavor['id'], one.volume['size']]`)
      expect(await runUntilActive("resize(db, '2')")).toEqual([expect.stringMatching(/^(RESIZE|ACTIVE)$/), '2', 1])
      expect(await runUntilActive('resize_volume(db, 2)')).toEqual([expect.stringMatching(/^(RESIZE|ACTIVE)$/), '2', 2])
      expect(await runUntilActive('restart(db)')).toEqual([expect.stringMatching(/^(REBOOT|ACTIVE)$/), '2', 2])
    })

    it('raises the exceptions that its users catch', async () => {
      expect(await sdk('db.get_flavor(99)')).toMatchObject({ error: 'NotFoundException' })
      expect(await sdk("db.get_instance('none')")).toMatchObject({ error: 'NotFoundException' })
      expect(await sdk("db.create_instance(name='x', flavor='99', volume={'size': 1})")).toMatchObject({
        error: 'BadRequestException',
        message: expect.stringContaining('Flavor 99 cannot be found.'),
      })
      expect(await sdk(`db.delete_database('none', '${id}', ignore_missing=False)`)).toMatchObject({
        error: 'NotFoundException',
      })
    })

    it('deletes the instance', async () => {
      await ok(`
one = db.get_instance('${id}')
db.delete_instance(one)
db.wait_for_delete(one, interval=1, wait=60)
db.delete_instance('${id}')  # by default the library ignores that it is gone
result = None`)
      expect(await ok('result = len(list(db.instances()))')).toBe(0)
    })
  })

  describe('other logins', () => {
    it('accept an application credential until it is deleted', async () => {
      const [id, secret] = await ok(`
credential = conn.identity.create_application_credential(conn.current_user_id, name='robot')
result = [credential.id, credential.secret]`)
      const robot = {
        OS_AUTH_TYPE: 'v3applicationcredential',
        OS_AUTH_URL: world.demo['OS_AUTH_URL'] ?? '',
        OS_APPLICATION_CREDENTIAL_ID: id,
        OS_APPLICATION_CREDENTIAL_SECRET: secret,
      }
      expect(await world.openstack(robot, 'database flavor list')).toMatchObject({ code: 0 })
      await ok(`conn.identity.delete_application_credential(conn.current_user_id, '${id}')`)
      expect(await world.openstack(robot, 'database flavor list')).toMatchObject({ code: 1 })
    })

    it('accept a token', async () => {
      const token = await ok('result = conn.auth_token')
      const login = {
        OS_AUTH_TYPE: 'v3token',
        OS_AUTH_URL: world.demo['OS_AUTH_URL'] ?? '',
        OS_TOKEN: token,
        OS_PROJECT_NAME: 'demo',
        OS_PROJECT_DOMAIN_NAME: 'Default',
      }
      expect(await world.openstack(login, 'database flavor list')).toMatchObject({ code: 0 })
    })

    it('accept clouds.yaml, also for the command line', async () => {
      expect(await world.openstack({ ...clouds, OS_CLOUD: 'coffer-alt' }, 'database flavor list')).toMatchObject({
        code: 0,
      })
    })

    it('refuse a client without a login', async () => {
      const none = { OS_AUTH_TYPE: 'none', OS_ENDPOINT: `${world.coffer.base}/v1.0/demo` }
      expect(await world.openstack(none, 'database flavor list')).toMatchObject({
        code: 1,
        err: expect.stringContaining('401'),
      })
    })
  })

  describe('python-troveclient', () => {
    let shop: ShownInstance
    beforeAll(async () => {
      shop = await createActive(world, world.demo, 'shop')
    }, 60_000)

    /** Runs Python with troveclient's client `trove`, logged in by keystoneauth; returns its `result`. */
    async function trove(code: string): Promise<PythonResult['result']> {
      const prelude = `
import os
from keystoneauth1 import loading, session
from troveclient import client
options = {name[3:].lower(): value for name, value in os.environ.items() if name in (
    'OS_AUTH_URL', 'OS_USERNAME', 'OS_PASSWORD', 'OS_PROJECT_NAME', 'OS_USER_DOMAIN_NAME', 'OS_PROJECT_DOMAIN_NAME')}
auth = loading.get_plugin_loader('password').load_from_options(**options)
trove = client.Client('1.0', session=session.Session(auth=auth), service_type='database', region_name='RegionOne')
`
      const answer = await world.python(world.demo, prelude + code)
      expect({ code, error: answer.error, message: answer.message }).toEqual({
        code,
        error: undefined,
        message: undefined,
      })
      return answer.result
    }

    it('pages through databases and users with limit and marker', async () => {
      const names = Array.from({ length: 5 }, (_, index) => `d${index}`)
      await trove(`trove.databases.create('${shop.id}', [{'name': f'd{index}'} for index in range(5)])`)
      const all = () => trove(`result = [one.name for one in trove.databases.list('${shop.id}')]`)
      await until('five databases', async () => (await all()).length === 5)
      const code = (noun: string) => `
pages, marker = [], None
while True:
    page = trove.${noun}.list('${shop.id}', limit=2, marker=marker)
    pages.append([one.name for one in page])
    marker = page.next
    if marker is None:
        break
result = pages`
      expect(await trove(code('databases'))).toEqual([names.slice(0, 2), names.slice(2, 4), names.slice(4)])
      await trove(`
users = [{'name': f'u.{index}', 'password': 'pw', 'databases': []} for index in range(5)]
trove.users.create('${shop.id}', users)`)
      await until('five users', async () => (await trove(`result = len(trove.users.list('${shop.id}'))`)) === 5)
      expect(await trove(code('users'))).toEqual([['u.0', 'u.1'], ['u.2', 'u.3'], ['u.4']])
    })

    it('pages through instances', async () => {
      await trove(`trove.instances.create('second', 1, volume={'size': 1})`)
      const pages = await trove(`
first = trove.instances.list(limit=1)
second = trove.instances.list(limit=1, marker=first.next)
result = [[one.name for one in first], [one.name for one in second], second.next]`)
      expect([...pages[0], ...pages[1]].sort()).toEqual(['second', 'shop'])
      expect(pages[2]).toBeNull()
    })

    it('changes several passwords in one request, which the command line cannot', async () => {
      await trove(`
users = [{'name': 'u.0', 'password': 'new0'}, {'name': 'u.1', 'password': 'new1'}]
trove.users.change_passwords('${shop.id}', users)`)
      await trove(`trove.users.grant('${shop.id}', 'u.1', ['d1'])`)
      const login = `host=${shop.ip} port=${shop.addresses[0]?.port ?? 5432} user=u.1 password=new1 dbname=d1`
      const connect = `import psycopg\nresult = psycopg.connect('${login}').execute('SELECT 1').fetchone()`
      await until('the new password', async () => (await world.python({}, connect)).result, 10_000)
    })

    it('finds users with dots in their names', async () => {
      expect(await trove(`result = trove.users.get('${shop.id}', 'u.0').name`)).toBe('u.0')
      await trove(`trove.users.delete('${shop.id}', 'u.0')`)
      await until('end of u.0', async () => (await trove(`result = len(trove.users.list('${shop.id}'))`)) === 4)
    })
  })
})
