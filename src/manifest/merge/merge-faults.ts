import { PbManifestError } from '../../errors.js'
import type { FragmentEnd } from '../fragment/read-fragment.js'

type Failure = Exclude<FragmentEnd, { readonly type: 'seal' }>

/** Everything that keeps fragments from being merged. */
export class MergeFaults {
  readonly #faults: string[] = []
  #isOnlyDamage = true
  /** Of the last fault that has one. */
  #hint: string | undefined

  get any(): boolean {
    return this.#faults.length > 0
  }

  /** A fault of the merge as a whole. */
  add(fault: string, hint?: string): undefined {
    this.#faults.push(fault)
    this.#hint = hint ?? this.#hint
    this.#isOnlyDamage = false
  }

  /** A fragment that cannot be used. */
  addFragment(path: string, failure: Failure): void {
    this.#faults.push(`fragment "${path}" ${describe(failure)}`)
    if (failure.type !== 'damaged') this.#isOnlyDamage = false
  }

  /** One error for all of them: that the fragments are damaged, when that is all, or that they cannot be merged. */
  toError(): PbManifestError {
    const [first = '', ...others] = this.#faults
    const code = this.#isOnlyDamage ? 'BAD_FRAGMENT' : 'CANNOT_MERGE'
    const hint = this.#hint === undefined ? {} : { hint: this.#hint }
    if (others.length === 0) return new PbManifestError(code, `could not merge fragments: ${first}`, hint)
    return new PbManifestError(code, `could not merge fragments: ${this.#faults.length} faults`, {
      details: this.#faults,
      ...hint,
    })
  }
}

function describe(failure: Failure): string {
  switch (failure.type) {
    case 'unsealed':
      return 'has no seal: its worker did not finish'
    case 'truncated':
      return 'is truncated: it ends in the middle of a line'
    case 'damaged':
      return `is damaged: ${failure.reason}`
    default:
      return failure satisfies never
  }
}
