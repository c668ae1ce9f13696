import { expect, test } from 'vitest'
import { wantsColor } from '../../cli/color.js'

test.each([
  { name: 'a terminal has colour', env: {}, isTerminal: true, expected: true },
  { name: 'anything else has none', env: {}, isTerminal: false, expected: false },
  { name: 'FORCE_COLOR asks for it', env: { FORCE_COLOR: '1' }, isTerminal: false, expected: true },
  { name: 'FORCE_COLOR=0 forbids it', env: { FORCE_COLOR: '0' }, isTerminal: true, expected: false },
  { name: 'NO_COLOR forbids it', env: { NO_COLOR: '1' }, isTerminal: true, expected: false },
  { name: 'an empty NO_COLOR says nothing', env: { NO_COLOR: '' }, isTerminal: true, expected: true },
  {
    name: 'NO_COLOR beats FORCE_COLOR',
    env: { NO_COLOR: '1', FORCE_COLOR: '1' },
    isTerminal: true,
    expected: false,
  },
  { name: 'PG_COLOR=always beats NO_COLOR', env: { PG_COLOR: 'always', NO_COLOR: '1' }, expected: true },
  { name: 'PG_COLOR=never beats FORCE_COLOR', env: { PG_COLOR: 'never', FORCE_COLOR: '1' }, expected: false },
  {
    name: 'PG_COLOR=auto goes by the terminal',
    env: { PG_COLOR: 'auto', NO_COLOR: '1' },
    isTerminal: true,
    expected: true,
  },
  { name: 'another PG_COLOR says nothing', env: { PG_COLOR: 'blue' }, isTerminal: true, expected: true },
  {
    name: 'the flag beats PG_COLOR',
    flag: 'never' as const,
    env: { PG_COLOR: 'always' },
    isTerminal: true,
    expected: false,
  },
  { name: 'the flag beats NO_COLOR', flag: 'always' as const, env: { NO_COLOR: '1' }, expected: true },
])('$name', ({ flag, env, isTerminal = false, expected }) => {
  expect(wantsColor(flag, env, isTerminal)).toBe(expected)
})
