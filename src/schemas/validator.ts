import { createRequire } from 'node:module'
import type { ErrorObject, ValidateFunction } from 'ajv'
import { packagePath } from '../version.js'

/** A schema by the name of its file in `schemas/`. */
export type SchemaName =
  | 'agent-log'
  | 'backup-manifest-1'
  | 'backup-manifest-2'
  | 'backup-report'
  | 'combine-report'
  | 'create-report'
  | 'drill-report'
  | 'error'
  | 'evidence-header'
  | 'fleet-status'
  | 'fragment-seal'
  | 'manifest-diff'
  | 'manifest-file'
  | 'manifest-file-list'
  | 'manifest-overview'
  | 'repair-report'
  | 'report-fragment-line'
  | 'report-fragment-seal'
  | 'restore-report'
  | 'signed-report'
  | 'state-backup'
  | 'state-failure'
  | 'status-report'
  | 'unfinished-backup'
  | 'verify-backups-report'
  | 'verify-chain-report'
  | 'verify-report'
  | 'wal-range'

/**
 * Says whether a value fits a schema.
 *
 * @returns `undefined` when it fits, else why not, in one line
 */
export type Validator = (value: unknown) => string | undefined

/** What ajv has made of a schema. */
interface CompiledSchema {
  readonly validate: ValidateFunction
}

const load = createRequire(import.meta.url)

/** The validator of one of the schemas in `schemas/`, which `npm run build` has compiled. Loaded at its first use. */
export function validatorOf(name: SchemaName): Validator {
  let validate: ValidateFunction | undefined
  return (value) => {
    validate ??= (load(packagePath(`dist/validators/${name}.cjs`)) as CompiledSchema).validate
    return validate(value) ? undefined : explain(validate.errors?.[0])
  }
}

/**
 * A document of ours as JSON.
 *
 * @throws Error when it does not fit its schema: a bug of ours
 */
export function formatAsJson(name: SchemaName, document: object): string {
  requireFit(name, document)
  return JSON.stringify(document, null, 2)
}

/** @throws Error when a document of ours does not fit its schema: a bug of ours */
export function requireFit(name: SchemaName, document: object): void {
  const mismatch = validatorOf(name)(document)
  if (mismatch !== undefined) throw new Error(`the document does not fit schema ${name}: ${mismatch}`)
}

function explain(error: ErrorObject | undefined): string {
  if (error === undefined) return 'does not fit'
  const place = error.instancePath === '' ? '' : `"${error.instancePath.slice(1)}" `
  const params =
    'additionalProperty' in error.params ? ` "${String(error.params['additionalProperty'])}"` : ''
  return `${place}${error.message ?? 'does not fit'}${params}`
}
