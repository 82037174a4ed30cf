"""How an HTML page looks.

One style sheet, colors as custom properties for a light and a dark theme. A test holds their
contrast.
"""

from __future__ import annotations

STYLE = """
:root { color-scheme: light;
  --page: #ffffff; --panel: #f5f6f8; --edge: #d3d8df; --text: #1b1f24; --muted: #57606b;
  --link: #0b57b0; --focus: #0b57b0;
  --good: #12682f; --bad: #b3261e; --change: #845000; --side0: #2a6fc4; --side1: #b8560b;
  --track: #e9ecf0;
  --h0: #f0f2f5; --h1: #ffdb80; --h2: #ffca5c; --h3: #fab53e; --h4: #f19a2b; --h5: #e07c22;
  --h6: #c95e1f; --h7: #a5421c; --h8: #7a291b; --h9: #4a1519; }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark;
  --page: #14171b; --panel: #1c2025; --edge: #383f48; --text: #e7eaee; --muted: #a4adb8;
  --link: #8db9ff; --focus: #8db9ff;
  --good: #72d493; --bad: #ff8f85; --change: #efb54c; --side0: #5f9df0; --side1: #f0914a;
  --track: #272c33;
  --h0: #22272d; --h1: #5b3619; --h2: #71411b; --h3: #884d1e; --h4: #a15b22; --h5: #bb6c28;
  --h6: #d38234; --h7: #e79f4d; --h8: #f4c279; --h9: #ffe8bb; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 64rem; background: var(--page);
  color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25; }
h2 { margin: 2.25rem 0 .75rem; padding-bottom: .25rem; border-bottom: 1px solid var(--edge);
  font-size: 1.15rem; }
h3 { margin: 0 0 .5rem; font-size: 1rem; }
p { margin: .5rem 0; max-width: 45rem; }
a { color: var(--link); }
code, pre { font: .85rem/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; margin: .5rem 0; padding: .75rem 1rem; border: 1px solid var(--edge);
  border-radius: .375rem; background: var(--panel); }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 2px; }
main:focus { outline: none; }
.skip { position: absolute; left: -100vw; padding: .5rem .75rem; background: var(--page); }
.skip:focus { position: static; display: inline-block; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.verdict { margin: 0 0 .5rem; padding: .75rem 1rem; border: 1px solid var(--edge);
  border-radius: .375rem; background: var(--panel); font-weight: 600; }
.verdict:has(.good) { border-left: .375rem solid var(--good); }
.verdict:has(.bad) { border-left: .375rem solid var(--bad); }
.verdict:has(.change) { border-left: .375rem solid var(--change); }
.aside, footer { color: var(--muted); font-size: .9rem; }
footer { margin-top: 3rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1rem 0 0; padding: 0;
  list-style: none; }
nav a { display: inline-block; padding: .125rem 0; }
ul.lines, ul.details { margin: .5rem 0; padding: 0; list-style: none; }
ul.details > li { padding-left: 1rem; text-indent: -1rem; }
ul.lines > li { margin: .375rem 0; }
ul.details { margin: .125rem 0 .25rem 1.4rem; color: var(--muted); font-size: .9rem; }
.line { display: block; position: relative; padding-left: 1.4rem; }
.line.none { padding-left: 0; }
.mark { position: absolute; left: 0; font-weight: 700; }
.good .mark { color: var(--good); } .bad .mark { color: var(--bad); }
  .change .mark { color: var(--change); }
details { margin: .25rem 0 .5rem; }
li > details { margin-left: 1.4rem; }
summary { width: fit-content; max-width: 100%; padding: .125rem .25rem; color: var(--link);
  cursor: pointer; }
summary b { font-weight: 400; }
.topic { margin: 1rem 0; padding: .75rem 1rem; border: 1px solid var(--edge);
  border-left-width: .375rem; border-radius: .375rem; }
.topic.bad { border-left-color: var(--bad); } .topic.change { border-left-color: var(--change); }
.topic:target { background: var(--panel); }
.topic details p { margin-left: 1.15rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--edge); text-align: left;
  vertical-align: top; }
thead th { color: var(--muted); font-size: .9rem; font-weight: 600; }
tbody th { min-width: 6.5rem; font-weight: 400; white-space: pre-wrap; }
.right { text-align: right; }
td.right { white-space: nowrap; }
.scroll th, .scroll td { overflow-wrap: normal; }
.bars { margin: .5rem 0; padding: 0; list-style: none; }
.bars li { display: grid; grid-template-columns: 14rem 1rem 1fr 16rem; align-items: center;
  gap: .125rem .75rem; margin-bottom: .625rem; }
.bars .label { grid-row: 1 / span 2; align-self: start; }
.bars .side { grid-column: 2; }
.bars .side, .bars .words { color: var(--muted); font-size: .9rem; }
.bars svg { display: block; border-radius: 2px; }
.track { fill: var(--track); } .side0 { fill: var(--side0); } .side1 { fill: var(--side1); }
.controls { display: flex; flex-wrap: wrap; gap: .5rem 1rem; margin: .5rem 0; }
.controls label { color: var(--muted); font-size: .9rem; }
input, select, button { padding: .125rem .375rem; border: 1px solid var(--edge);
  border-radius: .25rem; background: var(--panel); color: var(--text); font: inherit;
  max-width: 14rem; }
button:disabled { color: var(--muted); opacity: .6; }
thead button { padding: 0; border: 0; background: none; color: var(--link); font-weight: 600;
  cursor: pointer; }
th[aria-sort=ascending] button::after { content: " \\25b2"; }
th[aria-sort=descending] button::after { content: " \\25bc"; }
.records tbody th { min-width: 18rem; overflow-wrap: anywhere; }
.records summary { color: inherit; }
ul.tree, .tree ul { margin: 0; padding: 0; list-style: none; }
.tree li { position: relative; padding: .125rem 0; }
.tree li li { padding-left: 1.25rem; border-left: 1px solid var(--edge); }
.tree li li::before { content: ""; position: absolute; left: 0; top: .875rem; width: .875rem;
  border-top: 1px solid var(--edge); }
.tree li li:last-child { border-left-color: transparent; }
.tree li li:last-child::after { content: ""; position: absolute; left: -1px; top: 0;
  height: .875rem; border-left: 1px solid var(--edge); }
.tree .line { display: inline-block; }
.tree .words { color: var(--muted); font-size: .9rem; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem .875rem; margin: .5rem 0; padding: 0;
  list-style: none; color: var(--muted); font-size: .85rem; }
.legend span { display: inline-block; width: 1rem; height: 1rem; margin-right: .375rem;
  border: 1px solid var(--edge); vertical-align: -.15rem; }
.map { position: relative; padding-top: 3.4rem; }
.map .hint, .heat td span { position: absolute; top: 0; left: 0; margin: 0; padding: .25rem .5rem;
  font-size: .9rem; color: var(--muted); }
.heat td span { right: 0; opacity: 0; pointer-events: none; background: var(--panel);
  color: var(--text); }
.heat td:hover span, .heat td:focus span { opacity: 1; }
.heat td:focus span { z-index: 1; } .heat td:hover span { z-index: 2; }
.heat { border-collapse: separate; border-spacing: 2px; }
.heat th, .heat td { padding: 0 .25rem; border: 0; min-width: 1.5rem; height: 1.75rem;
  vertical-align: middle; }
.heat .bad { outline: 2px solid var(--bad); outline-offset: -2px; }
.heat .bad:focus { outline: 3px solid var(--focus); outline-offset: 2px; }
.heat thead th { text-align: center; }
.heat tbody th { position: sticky; left: 0; padding-right: .75rem; background: var(--page);
  white-space: nowrap; }
.h0 { background: var(--h0); } .h1 { background: var(--h1); } .h2 { background: var(--h2); }
  .h3 { background: var(--h3); } .h4 { background: var(--h4); }
.h5 { background: var(--h5); } .h6 { background: var(--h6); } .h7 { background: var(--h7); }
  .h8 { background: var(--h8); } .h9 { background: var(--h9); }
@media (max-width: 40rem) {
  .bars li { grid-template-columns: 1rem 1fr; }
  .bars .label { grid-column: 1 / -1; grid-row: auto; }
  .bars .side { grid-column: 1; }
  .bars .words { grid-column: 2; }
  th, td { padding-right: .625rem; }
  .heat th, .heat td { min-width: 1.25rem; padding: 0 .125rem; }
  .heat tbody th { white-space: normal; min-width: 6.25rem; padding-right: .5rem; font-size: .9rem;
  line-height: 1.25; overflow-wrap: anywhere; }
  .map { padding-top: 5rem; } }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav, .skip, .map .hint { display: none; }
  .map { padding-top: 0; }
  .scroll { overflow: visible; }
  .heat td, .legend span { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .topic, tr, li { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""
