/** How a report looks: in light and dark, on paper, and on a narrow screen. No other colours stand anywhere. */
export const style = `
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --soft: #535b66; --paper: #ffffff; --panel: #f4f5f7; --line: #d3d7dd; --focus: #0b57d0;
  --good: #10652f; --good-paper: #dff3e4; --bad: #a3171c; --bad-paper: #fde4e3; --part: #7a4a00; --part-paper: #fdefd3;
  --main: #bcd3f5; --fsm: #cfe8c6; --vm: #f3dfb0; --init: #e3d0ee; --other: #dcdfe4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8eaed; --soft: #aab2bd; --paper: #16181c; --panel: #20242a; --line: #3c434d; --focus: #8ab4f8;
    --good: #7ddc9a; --good-paper: #14351f; --bad: #ffaaa5; --bad-paper: #45181a; --part: #f7c873; --part-paper: #40300f;
    --main: #2c4a78; --fsm: #2f5a34; --vm: #69521a; --init: #553a68; --other: #454b55;
  }
}
@media print {
  :root {
    color-scheme: light;
    --ink: #000; --soft: #333; --paper: #fff; --panel: #fff; --line: #999;
    --good: #000; --good-paper: #fff; --bad: #000; --bad-paper: #fff; --part: #000; --part-paper: #fff;
    --main: #d7e3f7; --fsm: #dff0d9; --vm: #f8ecd0; --init: #efe3f5; --other: #e9ebee;
  }
  .filter, .skip, nav { display: none !important; }
  section, figure, tr, dl { break-inside: avoid; }
  .backup { break-inside: auto; }
  h2, h3 { break-after: avoid; }
  thead { display: table-header-group; }
  .scroll { overflow: visible !important; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem) 3rem; max-width: 76rem;
  color: var(--ink); background: var(--paper); font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p { margin: .5rem 0; }
a { color: var(--focus); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
.skip { position: absolute; left: -100vw; }
.skip:focus { position: static; }
.soft { color: var(--soft); }
.verdict { display: block; padding: .75rem 1rem; border: 2px solid; border-radius: .5rem; margin: .75rem 0; }
.verdict strong { font-size: 1.15rem; display: block; overflow-wrap: anywhere; }
.verified { color: var(--good); background: var(--good-paper); border-color: var(--good); }
.failed, .error { color: var(--bad); background: var(--bad-paper); border-color: var(--bad); }
.partial, .sampled { color: var(--part); background: var(--part-paper); border-color: var(--part); }
.badge { padding: .05rem .5rem; border: 1px solid; border-radius: 1rem; white-space: nowrap; }
dl { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .15rem 1.25rem; margin: .5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; }
caption { text-align: left; color: var(--soft); padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
td { overflow-wrap: anywhere; min-width: 5rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.kind { white-space: nowrap; }
.detail { display: block; color: var(--soft); }
.filter { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: .5rem 0; }
.filter[hidden] { display: none; }
.filter label { display: grid; color: var(--soft); font-size: .9rem; }
input, select {
  font: inherit; color: inherit; background: var(--panel); border: 1px solid var(--soft); border-radius: .3rem;
  padding: .3rem .5rem; min-width: 12rem;
}
figure { margin: .5rem 0 1rem; }
figcaption { color: var(--soft); font-size: .95rem; margin-bottom: .35rem; }
svg { display: block; width: 100%; height: auto; background: var(--panel); border: 1px solid var(--line); border-radius: .35rem; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .small { font-size: 11px; }
rect.main { fill: var(--main); } rect.fsm { fill: var(--fsm); } rect.vm { fill: var(--vm); }
rect.init { fill: var(--init); } rect.other { fill: var(--other); }
rect.main, rect.fsm, rect.vm, rect.init, rect.other { stroke: var(--paper); stroke-width: 1; }
rect.group { fill: none; stroke: var(--ink); stroke-width: 1.5; }
rect.run-verified { fill: var(--good); } rect.run-failed { fill: var(--bad); } rect.run-partial, rect.run-sampled { fill: var(--part); }
rect.bar { fill: var(--main); } rect.track { fill: var(--other); } rect.damage { fill: var(--bad); }
@media print { rect.damage { fill: #000; } }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; padding: 0; margin: .35rem 0; color: var(--soft); font-size: .9rem; }
.legend svg { width: 1rem; height: 1rem; display: inline-block; vertical-align: -.15rem; border: 0; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .75rem; color: var(--soft); font-size: .9rem; }
`
