import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, DatabaseError } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { debianPostgres } from '../../../helpers/postgres-programs.js'
import { runProgram } from '../../../helpers/run-program.js'
import { copyByte } from './script-handler.js'
import { WireFixture } from './wire-fixture.js'

let fixture: WireFixture

beforeAll(async () => {
  fixture = await WireFixture.start()
})

afterAll(() => fixture.stop())

describe('x', () => {
  test('psql', async () => {
    const out = await runProgram('psql', [
      `host=${fixture.socketDirectory} user=joe dbname=x replication=1`,
      '-c',
      'notice who rows=3 tag=5',
    ])
    console.log(out)
    const err = await runProgram('psql', [
      `host=${fixture.socketDirectory} user=joe dbname=x replication=1`,
      '-c',
      'half',
    ])
    console.log(err)
    const c = new Client({ host: fixture.socketDirectory, user: 'joe', database: 'd' })
    await c.connect()
    console.log((await c.query('rows=100000')).rows.length)
    console.log((await c.query('bytes')).rows)
    await c.end()
    console.log(fixture.events, fixture.closed)
  })
})
