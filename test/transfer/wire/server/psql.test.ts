import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { describeWithDebianPostgres } from '../../../helpers/requires.js'
import { mustRun, plainEnvironment, type ProgramResult, runProgram } from '../../../helpers/run-program.js'
import { copyByte } from './script-handler.js'
import { WireFixture } from './wire-fixture.js'

let fixture: WireFixture

beforeAll(async () => {
  fixture = await WireFixture.start()
})

afterEach(async () => await fixture.requireClosed())

afterAll(() => fixture.stop())

describeWithDebianPostgres('psql', (programs) => {
  const program = programs.path('psql') ?? 'psql'

  async function psql(command: string, more = 'replication=1'): Promise<ProgramResult> {
    const conninfo = `host=${fixture.socketDirectory} user=joe dbname=base ${more}`
    return await runProgram(program, ['-X', '-A', conninfo, '-c', command])
  }

  test.each([
    ['', ''],
    ['replication=1', '1'],
    ['replication=true', 'true'],
    ['replication=on', 'on'],
    ['replication=yes', 'yes'],
    ['replication=database', 'database'],
  ])('connects with "%s"', async (more, expected) => {
    const { status, stdout, stderr } = await psql('who', more)
    expect({ status, stderr, row: stdout.split('\n')[1] }).toEqual({
      status: 0,
      stderr: '',
      row: `joe|base|f|${expected}`,
    })
  })

  test('prints several results of one query, and notices', async () => {
    const { status, stdout, stderr } = await psql('rows=2 notice tag=1 rows=1')
    expect(stdout).toBe('n|t\n1|x\n2|xx\n(2 rows)\nTAG 1\nn|t\n1|x\n(1 row)\n')
    expect(stderr).toBe('WARNING:  beware\nDETAIL:  Of this.\nHINT:  Run.\n')
    expect(status).toBe(0)
  })

  test('shows an error with its place, after what came of a COPY', async () => {
    const { status, stdout, stderr } = await psql('half')
    expect({ status, stdout }).toEqual({ status: 1, stdout: 'half of it' })
    expect(stderr).toBe(
      'ERROR:  could not read file "x"\nLINE 1: half\n          ^\nDETAIL:  D.\nHINT:  H.\n',
    )
  })

  test('writes a COPY into a file, byte for byte', async () => {
    const bytes = 7_000_001
    await mkdir(join(fixture.socketDirectory, 'out'))
    const file = join(fixture.socketDirectory, 'out', 'copy')
    await mustRun('sh', [
      '-c',
      `"$0" -X "host=$1 user=joe replication=1" -c "$2" > "$3"`,
      program,
      fixture.socketDirectory,
      `copy=${String(bytes)}`,
      file,
    ])
    const written = await readFile(file)
    expect(written.length).toBe(bytes)
    expect(written.findIndex((byte, at) => byte !== copyByte(at))).toBe(-1)
  })

  test.each([
    ['', ''],
    [' ;\n; ', ''],
  ])('an empty query %j is answered as such', async (command, expected) => {
    const { status, stdout, stderr } = await psql(command)
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expected, stderr: '' })
  })

  test('what the handler did not foresee is told to us only', async () => {
    const { status, stderr } = await psql('bug')
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'ERROR:  internal error\nHINT:  The log of the server says more.\n',
    })
    expect(fixture.errors()).toContain('a secret of ours')
  })

  test('cancels its query upon SIGINT', async () => {
    const conninfo = `host=${fixture.socketDirectory} user=joe dbname=base`
    const child = spawn(program, ['-X', conninfo, '-c', 'wait'], { env: plainEnvironment() })
    const output: Buffer[] = []
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
    const closed = once(child, 'close')
    await fixture.running()
    child.kill('SIGINT')
    await closed
    expect(Buffer.concat(output).toString()).toBe(
      'Cancel request sent\nERROR:  canceling statement due to user request\n',
    )
  })
})
