/**
 * Options that several commands have, in the words of PostgreSQL's programs where those have them. In an exported table, whose type has to be seen
 * where it stands, one of them is named with its type: `'endpoint-url': endpointUrl as typeof endpointUrl`.
 */

/** `--output`, of commands whose result is for people or for programs. */
export const textOrJson = {
  choices: ['text', 'json'],
  default: 'text',
  type: 'string',
  value: 'text|json',
  describe: 'result as text, or one JSON document on standard output',
} as const

/** `-P` and `-q`; not both, says `requireQuietOrProgress`. */
export const progressOrQuiet = {
  progress: { alias: 'P', type: 'boolean', describe: 'show progress on standard error' },
  quiet: { alias: 'q', type: 'boolean', describe: 'print nothing but errors' },
} as const

/** `-v`, of commands that have no more to say of their steps; not with `-q`, says `requireQuietOrVerbose`. */
export const verboseOfStores = {
  alias: 'v',
  type: 'boolean',
  describe: 'say when an object store is asked again, and why',
} as const

/** `-T` */
export const tablespaceMapping = {
  alias: 'T',
  type: 'string',
  array: true,
  value: 'OLDDIR=NEWDIR',
  kind: 'text',
  describe: 'relocate tablespace in OLDDIR to NEWDIR',
} as const

/** `--manifest-checksums`, of commands that make a new manifest. */
export const manifestChecksums = {
  type: 'string',
  value: 'ALGORITHM',
  kind: 'text',
  suggestions: ['CRC32C', 'SHA224', 'SHA256', 'SHA384', 'SHA512', 'NONE'],
  describe: 'CRC32C (the default), SHA224, SHA256, SHA384, SHA512 or NONE',
} as const

export const syncMethod = {
  type: 'string',
  value: 'fsync|syncfs',
  kind: 'text',
  suggestions: ['fsync', 'syncfs'],
  describe: 'set method for syncing files to disk (default: fsync)',
} as const

/** `--endpoint-url`, of commands that reach an object store. */
export const endpointUrl = {
  type: 'string',
  value: 'URL',
  kind: 'text',
  describe: 'of s3://: the store, if it is not AWS (default: AWS_ENDPOINT_URL)',
} as const

/** `--addressing-style`, of the same. */
export const addressingStyle = {
  choices: ['auto', 'path', 'virtual'],
  type: 'string',
  value: 'auto|path|virtual',
  describe: 'of s3://: where the bucket is named (default: as the store has it)',
} as const
