import { describe, expect, test } from 'vitest'
import { findBottleneck, shareTime } from '../../../src/transfer/client/make-report.js'

const worker = (waiting: number, writing: number, more: object = {}) => ({
  waiting,
  throttled: 0,
  processing: 0,
  writing,
  syncing: 0,
  idle: 0,
  ...more,
})

describe('where the time went', () => {
  test.each([
    ['the server, when it was never ahead of the network', [worker(8, 2)], 0, 'server'],
    ['the network, when the server was mostly ahead of it', [worker(8, 2)], 0.9, 'network'],
    ['writing, of which syncing is part', [worker(3, 2, { syncing: 3 })], 0, 'writing'],
    ['our own computing, when that took longest', [worker(3, 2, { processing: 4 })], 1, 'client'],
    ['the rate limit, when most waiting was for tokens', [worker(2, 1, { throttled: 7 })], 1, 'rate-limit'],
    ['what most workers waited for', [worker(1, 5), worker(9, 1), worker(9, 1)], 0, 'server'],
    ['not idleness', [worker(2, 1, { idle: 50 })], 0, 'server'],
  ] as const)('is %s', (_what, seconds, networkShare, expected) => {
    expect(findBottleneck(shareTime({ seconds, networkShare }))).toBe(expected)
  })

  test('is divided in shares that make 1', () => {
    const shares = shareTime({
      seconds: [worker(3, 1, { syncing: 1, idle: 3, throttled: 4 }), worker(1, 0, { processing: 10 })],
      networkShare: 0.25,
    })
    expect(shares).toEqual({
      server: 0.15,
      network: 0.05,
      client: 0.5,
      writing: 0.1,
      'rate-limit': 0.2,
    })
  })

  test('is nowhere when nothing was done', () => {
    const shares = shareTime({ seconds: [], networkShare: 0 })
    expect(shares).toEqual({ server: 0, network: 0, client: 0, writing: 0, 'rate-limit': 0 })
  })
})
