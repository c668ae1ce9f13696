/**
 * Names that were made to have one hash, for tables whose hash has no secret: after each piece of a name there are two ways
 * to go on that lead to the same state of FNV-1a, so that n pieces make 2^n names. Whoever writes a manifest can do this.
 *
 * @see A. Joux, "Multicollisions in iterated hash functions" (2004)
 */
export function collidingNames(pieces: number): Buffer[] {
  let names: string[] = ['base/1/']
  let state = fnv1a(Buffer.from('base/1/'))
  for (let piece = 0; piece < pieces; piece++) {
    const { first, second, next } = findCollision(state)
    names = names.flatMap((name) => [name + first, name + second])
    state = next
  }
  return names.map((name) => Buffer.from(name))
}

/** The state of FNV-1a after these bytes. */
export function fnv1a(bytes: Buffer, start = 0x811c9dc5): number {
  let state = start
  for (const byte of bytes) state = Math.imul(state ^ byte, 0x01000193)
  return state
}

function findCollision(state: number): { first: string; second: string; next: number } {
  const seen = new Map<number, string>()
  for (let number = 0; ; number++) {
    // Numbers in their order differ too little to meet soon.
    const second = (Math.imul(number, 0x9e3779b1) >>> 0).toString(36).padStart(7, '0')
    const next = fnv1a(Buffer.from(second), state)
    const first = seen.get(next)
    if (first !== undefined) return { first, second, next }
    seen.set(next, second)
  }
}
