const SEQUENCE = 0x30
const OBJECT_IDENTIFIER = 0x06

interface Element {
  readonly tag: number
  /** Where its content begins and ends. */
  readonly start: number
  readonly end: number
}

/**
 * Finds the signature algorithm of a certificate.
 *
 * @param der - `SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID, parameters }, signature }`
 * @returns its object identifier, `undefined` when this is no certificate
 */
export function certificateSignatureOid(der: Buffer): string | undefined {
  try {
    const certificate = readElement(der, 0, SEQUENCE)
    const signed = readElement(der, certificate.start, SEQUENCE)
    const algorithm = readElement(der, signed.end, SEQUENCE)
    const identifier = readElement(der, algorithm.start, OBJECT_IDENTIFIER)
    return formatOid(der.subarray(identifier.start, identifier.end))
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** @throws RangeError when there is no such element */
function readElement(der: Buffer, at: number, tag: number): Element {
  if (der.readUInt8(at) !== tag) throw new RangeError('another element was expected')
  const first = der.readUInt8(at + 1)
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  const length = first < 0x80 ? first : der.readUIntBE(at + 2, lengthBytes)
  const start = at + 2 + lengthBytes
  if (start + length > der.length) throw new RangeError('the element is cut')
  return { tag, start, end: start + length }
}

function formatOid(content: Buffer): string {
  const numbers: number[] = []
  let value = 0
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) {
      numbers.push(value)
      value = 0
    }
  }
  const [first = 0, ...rest] = numbers
  return [Math.floor(first / 40), first % 40, ...rest].join('.')
}
