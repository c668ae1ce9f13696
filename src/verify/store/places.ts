/** A few places that many want, made when they are first wanted. */
export class Places<Place> {
  readonly #make: () => Place
  readonly #free: Place[] = []
  readonly #waiting: ((place: Place) => void)[] = []
  #left: number

  constructor(count: number, make: () => Place) {
    this.#left = count
    this.#make = make
  }

  async take(): Promise<Place> {
    const free = this.#free.pop()
    if (free !== undefined) return free
    if (this.#left > 0) {
      this.#left--
      return this.#make()
    }
    return await new Promise((resolve) => this.#waiting.push(resolve))
  }

  giveBack(place: Place): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(place)
    else next(place)
  }
}

/** Memory that many want some of, in the order in which they came. */
export class MemoryBudget {
  readonly #waiting: { readonly bytes: number; readonly go: () => void }[] = []
  #left: number

  /** @param bytes - nobody wants more */
  constructor(bytes: number) {
    this.#left = bytes
  }

  async take(bytes: number): Promise<void> {
    if (this.#waiting.length === 0 && bytes <= this.#left) this.#left -= bytes
    else await new Promise<void>((go) => this.#waiting.push({ bytes, go }))
  }

  giveBack(bytes: number): void {
    this.#left += bytes
    for (
      let next = this.#waiting[0];
      next !== undefined && next.bytes <= this.#left;
      next = this.#waiting[0]
    ) {
      this.#left -= next.bytes
      this.#waiting.shift()
      next.go()
    }
  }
}
