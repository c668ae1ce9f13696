import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodePathname } from '../../src/files/pathname.js'
import { IgnoreRules } from '../../src/verify/ignore-rules.js'

test.each([
  'backup_manifest',
  'pg_wal',
  'pg_wal/000000010000000000000001',
  'postgresql.auto.conf',
  'recovery.signal',
  'standby.signal',
])('%s is covered without a rule', (pathname) => {
  expect(new IgnoreRules([]).covers(pathname)).toBe(true)
})

test.each(['sub/backup_manifest', 'pg_wal2', 'postgresql.conf', 'base/pg_wal/x'])(
  '%s is not covered without a rule',
  (pathname) => {
    expect(new IgnoreRules([]).covers(pathname)).toBe(false)
  },
)

interface Row {
  readonly rule: string
  readonly covered: readonly string[]
  readonly not: readonly string[]
}

describe.each<Row>([
  { rule: 'global', covered: ['global', 'global/1260'], not: ['global2', 'base/global'] },
  { rule: 'global/126', covered: ['global/126', 'global/126/x'], not: ['global/1260', 'global'] },
  { rule: './global/', covered: ['global', 'global/1'], not: ['globals'] },
  { rule: 'base//1/./2/', covered: ['base/1/2'], not: ['base/1'] },
  { rule: 'base/../global', covered: ['global/1'], not: ['base/1'] },
  { rule: '/global', covered: [], not: ['global', 'global/1'] },
  { rule: '../global', covered: [], not: ['global'] },
  { rule: '.', covered: [], not: ['global', 'PG_VERSION'] },
  { rule: '', covered: [], not: ['global', 'PG_VERSION'] },
  {
    rule: 'base/*/pgsql_tmp',
    covered: ['base/1/pgsql_tmp', 'base/1/pgsql_tmp/x'],
    not: ['base/pgsql_tmp', 'base/1/2/pgsql_tmp'],
  },
  { rule: '*.conf', covered: ['postgresql.conf', '.conf', 'x.conf/y'], not: ['base/x.conf'] },
  { rule: '**/*.conf', covered: ['postgresql.conf', 'base/1/.x.conf', 'a\nb/x.conf'], not: ['conf'] },
  { rule: 'odd*', covered: ['odd new\nline', 'odd "quoted"', 'odd not utf-8 \udcff'], not: ['an odd'] },
  { rule: 'base/{1,4}', covered: ['base/1/x', 'base/4'], not: ['base/5'] },
  { rule: 'a[bc]', covered: ['ab', 'ac', 'a[bc]', 'a[bc]/x'], not: ['a'] },
  { rule: 'what?', covered: ['what?', 'whats'], not: ['what'] },
  { rule: 'a(b)', covered: ['a(b)'], not: ['a'] },
  { rule: '!base/*', covered: ['!base/*', '!base/1'], not: ['base/1', 'global/1', 'PG_VERSION'] },
  { rule: '!PG_VERSION', covered: ['!PG_VERSION'], not: ['PG_VERSION', 'global'] },
  { rule: 'größe 数据', covered: ['größe 数据/x'], not: ['größe'] },
])('rule %j', ({ rule, covered, not }) => {
  const rules = new IgnoreRules([rule])

  test.each(covered)('covers %j', (pathname) => {
    expect(rules.covers(pathname)).toBe(true)
  })

  test.each(not)('does not cover %j', (pathname) => {
    expect(rules.covers(pathname)).toBe(false)
  })
})

test('a rule that is a pathname covers it, whatever characters are in it, and all below', () => {
  const component = fc
    .string({
      minLength: 1,
      unit: fc.constantFrom('a', 'B', '.', '*', '?', '[', ']', '{', '}', '!', '(', ')', '\\', ' '),
    })
    .filter((text) => text !== '.' && text !== '..')
  fc.assert(
    fc.property(fc.array(component, { minLength: 1, maxLength: 3 }), component, (components, below) => {
      const pathname = components.join('/')
      const rules = new IgnoreRules([pathname])
      expect(rules.covers(pathname)).toBe(true)
      expect(rules.covers(`${pathname}/${below}`)).toBe(true)
    }),
  )
})

test('any of several rules is enough', () => {
  const rules = new IgnoreRules(['base/1', 'log', '*.pid'])
  expect(['base/1/2', 'log/x', 'postmaster.pid', 'base/2'].map((name) => rules.covers(name))).toEqual([
    true,
    true,
    true,
    false,
  ])
})

test('what is covered begins as one of the rules does, by which others are told apart quickly', () => {
  const component = fc.constantFrom('base', 'bas', 'b', 'pg_wal', 'pg_wal2', 'caf\u00e9', 'x\udcff', '1')
  const pathname = fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
  fc.assert(
    fc.property(fc.array(pathname, { maxLength: 3 }), pathname, (texts, name) => {
      const rules = new IgnoreRules(texts)
      const bytes = encodePathname(name)
      const begins = rules.beginnings?.some((beginning) =>
        bytes.subarray(0, beginning.length).equals(beginning),
      )
      expect(begins === true || !rules.covers(name)).toBe(true)
    }),
  )
  expect(new IgnoreRules(['base/*']).beginnings).toBeUndefined()
})

test('a directory in which nothing can match is known', () => {
  const rules = new IgnoreRules(['base/5/16384'])
  expect(['', 'base', 'base/1', 'pg_wal/summaries'].map((name) => rules.mayMatchIn(name))).toEqual(
    Array.from({ length: 4 }, () => true),
  )
  expect(['global', 'basement', 'pg_wal2/base'].map((name) => rules.mayMatchIn(name))).toEqual([
    false,
    false,
    false,
  ])
  expect(new IgnoreRules(['*.bak']).mayMatchIn('global')).toBe(true)
})
