/** Damages messages; the same seed always in the same way. */
export class Mutator {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A whole number from 0 up to this one, which is not among them. */
  below(limit: number): number {
    // mulberry32
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }

  /** Damages any part of it, its length too. */
  mutate(message: Buffer): Buffer {
    let bytes: Buffer = Buffer.from(message)
    for (let changes = 1 + this.below(3); changes > 0; changes--) bytes = this.#change(bytes)
    return bytes
  }

  /** Damages what follows type and length, and makes the length fit again, so that the next message can be read. */
  mutatePayload(message: Buffer): Buffer {
    const payload = this.mutate(message.subarray(5))
    const header = Buffer.from(message.subarray(0, 5))
    header.writeInt32BE(payload.length + 4, 1)
    return Buffer.concat([header, payload])
  }

  #change(bytes: Buffer): Buffer {
    const at = this.below(bytes.length + 1)
    const before = bytes.subarray(0, at)
    const rest = bytes.subarray(at)
    switch (this.below(5)) {
      case 0:
        return Buffer.concat([before, Buffer.of(this.below(256)), rest.subarray(1)])
      case 1:
        return Buffer.concat([before, rest.subarray(1 + this.below(8))])
      case 2:
        return Buffer.concat([before, Buffer.alloc(this.below(20), this.below(256)), rest])
      case 3:
        return Buffer.concat([before, rest, rest])
      default: {
        const number = Buffer.alloc(4)
        number.writeInt32BE(this.pick([0, 1, 4, 5, -1, 0x7fffffff, -0x80000000, 10_000, 70_000]))
        return Buffer.concat([before, number, rest.subarray(4)])
      }
    }
  }
}
