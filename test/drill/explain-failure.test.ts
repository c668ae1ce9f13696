import { expect, test } from 'vitest'
import { explainFailure } from '../../src/drill/explain-failure.js'

const begun = [
  'LOG:  starting PostgreSQL 15.18',
  'LOG:  database system was interrupted; last known up at 2026-11-27',
]
const library = 'FATAL:  could not access file "not_there": No such file or directory'

test.each([
  {
    name: 'WAL that ends too early',
    log: [
      ...begun,
      'FATAL:  WAL ends before end of online backup',
      'LOG:  startup process exited with exit code 1',
    ],
    part: 'backup',
    message: 'the server could not recover: WAL ends before end of online backup',
  },
  {
    name: 'a page that recovery cannot read',
    log: [...begun, 'PANIC:  WAL contains references to invalid pages'],
    part: 'backup',
    message: 'the server could not recover: WAL contains references to invalid pages',
  },
  {
    name: 'a control file that the server refuses',
    log: ['FATAL:  incorrect checksum in control file'],
    part: 'backup',
    message: 'the server did not start: incorrect checksum in control file',
  },
  {
    name: 'a library',
    log: [library],
    part: 'drill',
    message: `the server did not start: ${library.slice(8)}`,
  },
  {
    name: 'a library that only recovery needs',
    log: [
      ...begun,
      'FATAL:  resource manager with ID 140 not registered',
      'HINT:  Include the extension module that implements this',
    ],
    part: 'drill',
    message: 'the server did not start: resource manager with ID 140 not registered',
  },
  {
    name: 'a disk that is full',
    log: [...begun, 'FATAL:  could not write to file "pg_wal/xlogtemp.1": No space left on device'],
    part: 'drill',
    message: 'the server did not start: could not write to file "pg_wal/xlogtemp.1": No space left on device',
  },
  {
    name: 'somebody who was turned away',
    log: [
      ...begun,
      'FATAL:  the database system is starting up',
      'FATAL:  could not locate required checkpoint record',
    ],
    part: 'backup',
    message: 'the server could not recover: could not locate required checkpoint record',
  },
  {
    name: 'a server that has no settings to read',
    log: ['postgres: could not access directory "/x/data": Permission denied'],
    part: 'drill',
    message: 'the server did not start: could not access directory "/x/data": Permission denied',
  },
  { name: 'nothing at all', log: [], part: 'drill', message: 'the server ended before it began' },
])('$name is told as a failure of the $part', ({ log, part, message }) => {
  expect(explainFailure(log)).toMatchObject({ part, message })
})

test('what the server recommends is left out, with the lines that belong to it', () => {
  const log = [...begun, 'FATAL:  no', 'HINT:  remove', '\tthat file', 'LOG:  database system is shut down']
  expect(explainFailure(log).details).toEqual([...begun, 'FATAL:  no', 'LOG:  database system is shut down'])
})
