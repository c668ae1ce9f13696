import type { ErrorObject } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { readPackageFile } from '../version.js'

/** The schemas by the names of their files in `schemas/`. */
const schemaNames = [
  'agent-log',
  'backup-manifest-1',
  'backup-manifest-2',
  'backup-report',
  'combine-report',
  'create-report',
  'drill-report',
  'error',
  'evidence-header',
  'fragment-seal',
  'manifest-diff',
  'manifest-file',
  'manifest-file-list',
  'manifest-overview',
  'repair-report',
  'report-fragment-line',
  'report-fragment-seal',
  'restore-report',
  'signed-report',
  'verify-backups-report',
  'state-backup',
  'state-failure',
  'status-report',
  'unfinished-backup',
  'verify-chain-report',
  'verify-report',
  'wal-range',
] as const

export type SchemaName = (typeof schemaNames)[number]

function loadSchema(name: SchemaName): { readonly $id: string } {
  return readPackageFile(`schemas/${name}.schema.json`) as { readonly $id: string }
}

/**
 * Says whether a value fits a schema.
 *
 * @returns `undefined` when it fits, else why not, in one line
 */
export type Validator = (value: unknown) => string | undefined

/** Whether these are schemas, a test has looked: it takes as long as to compile the longest of them. */
const ajv = new Ajv2020({ strict: true, validateSchema: false, schemas: schemaNames.map(loadSchema) })

/** The validator of one of the schemas in `schemas/`. Compiled at its first use, and kept. */
export function validatorOf(name: SchemaName): Validator {
  const { $id: id } = loadSchema(name)
  return (value) => {
    const validate = ajv.getSchema(id)
    if (validate === undefined) throw new Error(`schema ${id} is not loaded`)
    return validate(value) === true ? undefined : explain(validate.errors?.[0])
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
