import { readFileSync } from 'node:fs'
import {
  SignatureCheck,
  type SignatureDemand,
  type SignatureResult,
} from '../../src/signature/check-signature.js'

/** The whole check of a file's signature, given its bytes in two pieces. */
export function checkFile(file: string, namespace: string, demand: SignatureDemand): SignatureResult {
  const check = new SignatureCheck(demand, 'file', namespace, [`${file}.sig`])
  const bytes = readFileSync(file)
  check.update(bytes.subarray(0, 3))
  check.update(bytes.subarray(3))
  return check.conclude()
}
