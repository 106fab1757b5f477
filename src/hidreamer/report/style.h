#pragma once

namespace hidreamer::report {

// The page's style sheet: a quiet page, light and dark, without anything from the network.
inline constexpr const char* kStyle = R"css(
:root{--bg:#fbfaf7;--panel:#fff;--ink:#23262b;--soft:#6b6f76;--line:#e4e1d9;--accent:#2f6690;
--c0:#2f6690;--c1:#d98e32;--c2:#5b8c5a;--c3:#a4508b;--c4:#3a9ea5;--c5:#c14b4b;--base:#9a9ca1;--shut:#efede6}
@media(prefers-color-scheme:dark){:root{--bg:#16181c;--panel:#1d2025;--ink:#dfe1e5;--soft:#969aa3;--line:#30343b;
--accent:#7db4dd;--c0:#6fa8d6;--c1:#e0a458;--c2:#86b884;--c3:#c987b6;--c4:#67c3c9;--c5:#e07a7a;--base:#767a83;--shut:#25292f}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
header,main{max-width:1160px;margin:0 auto;padding:0 28px}
header{padding-top:56px}
h1,h2,h3,h4,.brand{font-family:"Iowan Old Style",Charter,Georgia,"Times New Roman",serif;font-weight:600;line-height:1.2}
h1{font-size:44px;margin:0 0 8px}h2{font-size:28px;margin:0 0 4px}h3{font-size:20px;margin:32px 0 8px}h4{margin:16px 0 4px;font-size:16px}
.brand{color:var(--accent);margin:0 0 4px;letter-spacing:.04em}
.lead{color:var(--soft);margin:0 0 20px;max-width:46em}
nav{display:flex;flex-wrap:wrap;gap:4px 20px;border-top:1px solid var(--line);border-bottom:1px solid var(--line);padding:10px 0}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}nav a{font-size:14px}
section{margin:64px 0}
.scroll{overflow-x:auto;margin:8px 0 12px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--soft);text-align:left;vertical-align:bottom;border-bottom:1px solid var(--ink);padding:6px 14px 6px 0;font-size:13px}
td{border-bottom:1px solid var(--line);padding:6px 14px 6px 0;vertical-align:baseline}
th.n,td.n{text-align:right;white-space:nowrap}th.n{white-space:normal}
small{color:var(--soft);font-size:12px;font-weight:400}
.note,figcaption{color:var(--soft);font-size:13.5px;max-width:60em}
.missing{border-left:3px solid var(--line);padding:6px 14px;color:var(--soft);margin:12px 0}.missing b{color:var(--ink);font-weight:600}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(340px,1fr));gap:20px;margin:16px 0}
.plot{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:12px 14px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-family:inherit;fill:var(--soft);font-size:11.5px}svg text.title{fill:var(--ink);font-size:14px;font-weight:600}
svg .tick{font-size:10.5px;font-variant-numeric:tabular-nums}
.grid{stroke:var(--line)}.line{fill:none;stroke-width:1.8;stroke-linejoin:round}
path.b0,path.b1,path.b2{stroke:var(--base);stroke-dasharray:5 4}path.b1{stroke-dasharray:2 3}path.b2{stroke-dasharray:9 3}
path.line.s0{stroke:var(--c0)}path.line.s1{stroke:var(--c1)}path.line.s2{stroke:var(--c2)}path.line.s3{stroke:var(--c3)}path.line.s4{stroke:var(--c4)}path.line.s5{stroke:var(--c5)}
.bar.s0,.cell.s0{fill:var(--c0)}.bar.s1,.cell.s1{fill:var(--c1)}.bar.s2{fill:var(--c2)}.bar.s3{fill:var(--c3)}.bar.s4{fill:var(--c4)}.bar.s5{fill:var(--c5)}
rect.bar.b0{fill:var(--base);opacity:.45}rect.bar.s0{opacity:.8}
.cell.shut{fill:var(--shut)}.rule{stroke:var(--bg);stroke-width:1.5;fill:none}.mask{max-width:420px;margin:0 auto}.masktitle{font-weight:600;font-size:14px;text-align:center}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:12.5px;color:var(--soft);margin-top:4px}
.legend i{display:inline-block;width:14px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle;background:var(--base)}
.legend .s0{background:var(--c0)}.legend .s1{background:var(--c1)}.legend .s2{background:var(--c2)}.legend .s3{background:var(--c3)}.legend .s4{background:var(--c4)}.legend .s5{background:var(--c5)}
.legend .b0{background:repeating-linear-gradient(90deg,var(--base) 0 5px,transparent 5px 8px)}.legend .b1{background:repeating-linear-gradient(90deg,var(--base) 0 2px,transparent 2px 5px)}
figure{margin:0}img{max-width:100%;image-rendering:pixelated;border-radius:6px;display:block}
.dream{display:grid;grid-template-columns:minmax(220px,344px) 1fr;gap:24px;align-items:start}.dream img{width:100%}
.steps{display:flex;font-size:12px;color:var(--soft);font-variant-numeric:tabular-nums}.steps span{flex:1;text-align:center}
.strips{display:grid;grid-template-columns:repeat(auto-fit,minmax(280px,1fr));gap:24px}
.strip{margin:8px 0}.strip svg{height:56px;border-bottom:1px solid var(--line)}.striphead{display:flex;justify-content:space-between;font-size:12.5px;color:var(--soft)}
.examples{display:grid;grid-template-columns:repeat(auto-fill,minmax(240px,1fr));gap:18px}.examples img{width:100%}
.heat{padding:1px 6px;border-radius:4px;background:color-mix(in srgb,var(--c0) calc(var(--w)*45%),transparent)}
details{margin:12px 0}summary{cursor:pointer;font-weight:600}
pre{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:16px;overflow-x:auto;font-size:12.5px;line-height:1.5}
@media(max-width:760px){.dream{grid-template-columns:1fr}h1{font-size:34px}}
@media print{nav{display:none}section{break-inside:avoid}}
)css";

}  // namespace hidreamer::report
