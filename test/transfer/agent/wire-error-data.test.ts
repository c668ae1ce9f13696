import { DatabaseError } from 'pg'
import { expect, test } from 'vitest'
import { PbManifestError } from '../../../src/errors.js'
import { withoutBackupIds } from '../../../src/transfer/agent/agent-event.js'
import { toWireError, toWireErrorData } from '../../../src/transfer/agent/wire-error-data.js'
import { CommandSyntaxError } from '../../../src/transfer/commands/command-tokens.js'
import { RefusedError } from '../../../src/transfer/commands/refused-error.js'

const reported = Object.assign(new DatabaseError('permission denied', 1, 'error'), { code: '42501' })

test.each<[unknown, object]>([
  [new RefusedError('wrong-state', 'm', 'h'), { sqlstate: '55000', message: 'm', hint: 'h' }],
  [new RefusedError('unknown-object', 'm'), { sqlstate: '42704' }],
  [new RefusedError('invalid-value', 'm'), { sqlstate: '22023' }],
  [new RefusedError('forbidden', 'm'), { sqlstate: '42501' }],
  [new PbManifestError('IO', 'm', { details: ['a', 'b'] }), { sqlstate: '58030', detail: 'a\nb' }],
  [new PbManifestError('ABORTED', 'm'), { sqlstate: '57014' }],
  [new PbManifestError('SERVER', 'm'), { sqlstate: '08006' }],
  [new PbManifestError('SERVER', 'm', { cause: reported }), { sqlstate: '42501', message: 'm' }],
  [new PbManifestError('BAD_FILE', 'm'), { sqlstate: 'XX001' }],
])('%s is told with an SQLSTATE', (error, data) => {
  expect(toWireErrorData(error)).toMatchObject({ ...data, bug: undefined })
})

test('a syntax error has its position', () => {
  const error = new CommandSyntaxError('m', 'LIST_BACKUPS é x', 15)
  expect(toWireErrorData(error)).toMatchObject({ sqlstate: '42601', position: 16, detail: undefined })
})

test('of a bug the client learns nothing, and the log all', () => {
  const data = toWireErrorData(new TypeError('secret'))
  expect(toWireError(data)).toMatchObject({ sqlstate: 'XX000', message: 'internal error of the agent' })
  expect(data.bug).toContain('TypeError: secret')
})

test('ids of backups are not logged, nor most of one', () => {
  expect(
    withoutBackupIds(`backup "${'0af3'.repeat(8)}" and "${'0AF3'.repeat(7)}" of pg_wal/${'0AF3'.repeat(6)}`),
  ).toBe('backup "<backup id>" and "<backup id>" of pg_wal/0AF30AF30AF30AF30AF30AF3')
})
