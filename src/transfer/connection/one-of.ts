import { PbManifestError } from '../../errors.js'

/** @throws {@link PbManifestError} `USAGE` in the words of libpq, when the value is none of these */
export function oneOf<Value extends string>(
  keyword: string,
  value: string,
  allowed: readonly Value[],
): Value {
  const found = allowed.find((candidate) => candidate === value)
  if (found !== undefined) return found
  throw new PbManifestError('USAGE', `invalid ${keyword} value: "${value}"`)
}
