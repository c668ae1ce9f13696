import { expect, test } from 'vitest'
import { postgresVersions } from '../../../../src/postgres/versions.js'
import { requireKnownVersion } from '../../../../src/transfer/cluster-files/sql/cluster-facts.js'

test.each(
  postgresVersions.flatMap(({ major, controlVersions }) =>
    controlVersions.map((control) => ({ major, control })),
  ),
)('a backup is taken of PostgreSQL $major with control file $control', ({ major, control }) => {
  expect(() => requireKnownVersion(major, control)).not.toThrow()
})

test.each([
  { major: 12, control: 1201, message: 'server version 12 is not supported' },
  { major: 20, control: 2000, message: 'server version 20 is not supported' },
  { major: 19, control: 1906, message: 'control file version 1906 of the server is not supported' },
  { major: 18, control: 1801, message: 'control file version 1801 of the server is not supported' },
])('none of PostgreSQL $major with control file $control', ({ major, control, message }) => {
  expect(() => requireKnownVersion(major, control)).toThrow(
    expect.objectContaining({ code: 'SERVER', message }),
  )
})
