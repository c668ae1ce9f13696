import { expect, test } from 'vitest'
import { parseSpecialFile } from '../../../../src/transfer/cluster-files/sql/special-file-search.js'

/** Of PostgreSQL's own translations. */
const templates = [
  'skipping special file "%s"',
  'überspringe besondere Datei »%s«',
  'omitiendo el archivo especial «%s»',
  'ignore le fichier spécial « %s »',
  'ignore le fichier spécial «\u00a0%s\u00a0»',
  'スペシャルファイル"%s"をスキップしています',
  '"%s" 특수 파일을 건너뜀',
  'специальный файл "%s" пропускается',
  '跳过特殊文件 "%s"',
]

test.each(templates)('the pathname in the words %j', (template) => {
  for (const pathname of ['log', 'conf.d/lnk', 'a b', 'a"', '"', '»«', 'a\nb', './x"./y', ' x ', 'größe']) {
    expect(parseSpecialFile(template.replace('%s', () => `./${pathname}`))).toBe(pathname)
  }
  for (const path of ['/srv/fast/PG_15_202209061/5/fifo', 'pg_tblspc/16384/PG_15_202209061/5/fifo']) {
    expect(parseSpecialFile(template.replace('%s', path))).toBeUndefined()
  }
})

test('words in which no pathname can be told are an error', () => {
  // What was no UTF-8 has become this, and may be another file's name.
  for (const message of ['skipping special file "./a\ufffd"', 'skipping ./log', '']) {
    expect(() => parseSpecialFile(message)).toThrow('in words that are not known')
  }
})
