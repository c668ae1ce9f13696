import { describe, expect, test } from 'vitest'
import { type AgentUser, resolveAgent } from '../../../../src/transfer/connection/settings/resolve-agent.js'

function resolve(agent: string, user: AgentUser = {}, variables: Readonly<Record<string, string>> = {}) {
  return resolveAgent(agent, user, {
    variables: { PGSYSCONFDIR: '/nonexistent', ...variables },
    homeDirectory: '/nonexistent',
    userName: 'somebody',
  }).options
}

describe('an agent', () => {
  test.each([
    ['db1:6000', 'db1', 6000],
    ['db1', 'db1', 5433],
    ['10.0.0.7:6000', '10.0.0.7', 6000],
    ['::1', '::1', 5433],
    ['[::1]', '::1', 5433],
    ['[::1]:6000', '::1', 6000],
    ['/run/pbmanifest', '/run/pbmanifest', 5433],
    ['host=db1', 'db1', 5433],
    ['host=/run/pbmanifest port=6000', '/run/pbmanifest', 6000],
    ['postgresql://db1', 'db1', 5433],
    ['postgres://db1:6000/?sslmode=require', 'db1', 6000],
  ])('%s is found at %s, port %i', (agent, host, port) => {
    expect(resolve(agent).hosts).toEqual([expect.objectContaining({ host, port })])
  })

  test.each([[''], [':6000'], ['db1:'], ['db1:many'], ['a:b:6000'], ['[::1']])('%s is none', (agent) => {
    expect(() => resolve(agent)).toThrow(
      expect.objectContaining({ code: 'USAGE', message: `invalid agent "${agent}"` }),
    )
  })

  test('is not looked for where the environment has the database server', () => {
    const variables = {
      PGHOST: 'elsewhere',
      PGHOSTADDR: '10.0.0.1',
      PGPORT: '1',
      PGDATABASE: 'other',
      PGSERVICE: 'nothing',
      PGOPTIONS: '-c jit=off',
      PGTARGETSESSIONATTRS: 'primary',
    }
    expect(resolve('db1', {}, variables)).toMatchObject({
      hosts: [{ host: 'db1', address: undefined, port: 5433 }],
      database: 'postgres',
      sessionOptions: undefined,
      sessionAttributes: 'any',
    })
  })

  test('takes what the environment says of who connects, and how', () => {
    const variables = { PGUSER: 'backup', PGPASSWORD: 'secret', PGSSLMODE: 'require', PGAPPNAME: 'nightly' }
    expect(resolve('db1', {}, variables)).toMatchObject({
      user: 'backup',
      applicationName: 'nightly',
      tls: { mode: 'require' },
      hosts: [{ replicationPassword: 'secret' }],
    })
  })

  test('knows its user by its connection string, else as the database server does', () => {
    const variables = { PGUSER: 'environment' }
    expect(resolve('host=db1 user=own', { user: 'option' }, variables).user).toBe('own')
    expect(resolve('host=db1', { user: 'option' }, variables).user).toBe('option')
    expect(resolve('host=db1', {}, variables).user).toBe('environment')
    expect(resolve('host=db1').user).toBe('somebody')
  })

  test('is given the password that was asked for', () => {
    const [host] = resolve('host=db1 password=old', { password: 'typed' }).hosts
    expect(host?.replicationPassword).toBe('typed')
  })
})
