import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ownPathname } from '../../../src/files/safe-pathname.js'
import { ArchiveEnds, type TarPlace } from '../../../src/target/tar/tar-place.js'
import { TarSink } from '../../../src/target/tar/tar-sink.js'
import { mustRun } from '../../helpers/run-program.js'
import { useScratch } from '../../manifest/use-scratch.js'

const scratch = useScratch()

function placeIn(directory: string): TarPlace {
  const archives = [
    { name: '16384.tar', prefix: 'pg_tblspc/16384/' },
    { name: 'base.tar', prefix: '' },
  ]
  for (const { name } of archives) writeFileSync(join(directory, name), '')
  const recoverySettings = Buffer.from('added\n')
  return { kind: 'tar', directory, archives, memory: ArchiveEnds.allocate(2), recoverySettings }
}

function begin(sink: TarSink, pathname: string, size: number): void {
  sink.begin({ pathname: ownPathname(pathname), mode: 0o600 }, { size, modified: 0 })
}

function put(sink: TarSink, pathname: string, pieces: readonly Buffer[]): void {
  const size = pieces.reduce((sum, { length }) => sum + length, 0)
  sink.begin({ pathname: ownPathname(pathname), mode: 0o600 }, { size, modified: 0 })
  for (const piece of pieces) sink.write(piece)
  sink.end()
}

test('two who write beside each other leave whole members, each in its archive', async () => {
  const place = placeIn(scratch.path)
  const [one, other] = [new TarSink(place), new TarSink(place)]
  const large = [Buffer.alloc(200_000, 'a'), Buffer.alloc(77, 'b')]
  one.begin({ pathname: ownPathname('base/1'), mode: 0o640 }, { size: 200_077, modified: 0 })
  one.write(large[0] as Buffer)
  put(other, 'base/2', [Buffer.from('two')])
  put(other, 'pg_tblspc/16384/PG_1/5/6', [])
  one.write(large[1] as Buffer)
  one.end()
  put(one, 'postgresql.auto.conf', [Buffer.from('old\n')])
  put(other, 'postgresql.conf', [])
  await one.finish()
  await other.finish()
  // Nobody has ended the archive: GNU tar takes the end of the file for it, once blocks are whole.
  const base = join(scratch.path, 'base.tar')
  writeFileSync(base, Buffer.alloc(1024), { flag: 'a' })
  const { stdout } = await mustRun('tar', ['tf', base])
  expect(stdout).toBe('base/1\nbase/2\npostgresql.auto.conf\npostgresql.conf\n')
  expect((await mustRun('tar', ['xOf', base, 'base/1'])).stdout).toBe(Buffer.concat(large).toString())
  expect((await mustRun('tar', ['xOf', base, 'postgresql.auto.conf'])).stdout).toBe('old\nadded\n')
  expect((await mustRun('tar', ['tf', join(scratch.path, '16384.tar')])).stdout).toBe('PG_1/5/6\n')
})

test('a file of a tablespace that there is not is refused', () => {
  const sink = new TarSink(placeIn(scratch.path))
  expect(() => put(sink, 'pg_tblspc/1/PG_1/5/6', [])).toThrow(
    expect.objectContaining({
      code: 'SERVER',
      message: 'there is no tablespace for file "pg_tblspc/1/PG_1/5/6"',
    }),
  )
})

describe('a member that was taken back', () => {
  test('begins again at its place', async () => {
    const place = placeIn(scratch.path)
    const [one, other] = [new TarSink(place), new TarSink(place)]
    begin(one, 'base/1', 100_000)
    one.write(Buffer.alloc(70_000, 'x'))
    put(other, 'base/2', [Buffer.from('two')])
    one.retract()
    put(one, 'base/1', [Buffer.alloc(100_000, 'a')])
    put(one, 'base/3', [Buffer.from('three')])
    await one.finish()
    await other.finish()
    const base = join(scratch.path, 'base.tar')
    writeFileSync(base, Buffer.alloc(1024), { flag: 'a' })
    expect((await mustRun('tar', ['tf', base])).stdout).toBe('base/1\nbase/2\nbase/3\n')
    expect((await mustRun('tar', ['xOf', base, 'base/1'])).stdout).toBe('a'.repeat(100_000))
  })

  test.each([
    ['with another size', (sink: TarSink) => begin(sink, 'base/1', 11)],
    ['after another one', (sink: TarSink) => begin(sink, 'base/2', 10)],
    ['never', (sink: TarSink) => sink.finish()],
  ])('and begins again %s leaves a gap, which is an error', (_when, act) => {
    const sink = new TarSink(placeIn(scratch.path))
    begin(sink, 'base/1', 10)
    sink.retract()
    expect(() => act(sink)).toThrow(
      'file "base/1" has changed its size, or is gone, since the connection was lost over which it came',
    )
  })
})
