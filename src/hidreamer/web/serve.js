// The page of hidreamer serve: curves of several runs, kept up to date while the page is looked at.
"use strict";
const kEvery = 2000;  // milliseconds between two questions
const kRows = 12;     // of a table beside a chart
const kProgress = 4;  // column of the table of runs
const charts = new Map();  // title -> chart
let runs = [];             // as answered, each stage with columns: name -> numbers of all its records
let asked = 0;

async function call(name, question) {
  const answer = await fetch("api/" + name + location.search, {method: "POST", body: JSON.stringify(question)});
  const got = await answer.json();
  if (!answer.ok) throw new Error(got.error + (got.hint ? " (" + got.hint + ")" : ""));
  return got;
}

// Four digits that count, no "-0".
function shown(x) {
  if (x === null || x === undefined || !isFinite(x)) return "–";
  const size = Math.abs(x);
  if (size >= 1000) return Math.round(x).toLocaleString("en");
  return size !== 0 && size < 1e-3 ? x.toExponential(2) : String(Number(x.toPrecision(4)));
}

function duration(seconds) {
  if (!isFinite(seconds) || seconds < 0) return "–";
  const minutes = Math.round(seconds / 60);
  if (seconds < 90) return Math.round(seconds) + " s";
  return minutes < 90 ? minutes + " min" : Math.floor(minutes / 60) + " h " + String(minutes % 60).padStart(2, "0") + " min";
}

// The newest value of a column.
function last(stage, key) {
  const values = stage.columns[key] || [];
  for (let i = values.length - 1; i >= 0; --i) if (values[i] !== null) return values[i];
  return null;
}

// Takes over a stage's new rows beside those that were there.
function join(before, stage) {
  const kept = before && before.generation === stage.generation && stage.first > 0 ? before : null;
  stage.columns = kept ? kept.columns : {};
  const rows = JSON.parse("[" + stage.rows + "]");
  delete stage.rows;
  stage.keys.forEach((key, k) => {
    const column = stage.columns[key] || (stage.columns[key] = new Array(stage.first).fill(null));
    for (const row of rows) column.push(k < row.length ? row[k] : null);
  });
  stage.news = rows.length > 0 || !kept;
}

// What a run's newest part is: the one that learns, or the last that did.
const newest = run => run.stages.find(stage => stage.active) || run.stages.filter(stage => stage.last > 0).sort((a, b) => b.last - a.last)[0];

// Real steps where they are counted, else updates.
const stepsOf = stage => stage.columns.env_steps || stage.columns.step || [];
const unitOf = stage => stage.columns.env_steps ? "steps" : "updates";
const perUpdate = stage => stage.columns.env_steps && stage.updates ? last(stage, "env_steps") / stage.updates : 1;

// As many rows of a table's body as there are of `texts`, [[text]], a cell written where it has changed. The cells are those
// that `make` puts into a new row, the first of them with what is before its text.
function fill(body, texts, make) {
  while (body.rows.length > texts.length) body.deleteRow(-1);
  texts.forEach((row, r) => {
    if (r === body.rows.length) make(body.insertRow(), r);
    row.forEach((text, c) => put(body.rows[r].cells[c].lastChild, text));
  });
}

function addCells(row, count, numericFrom) {
  for (let i = 0; i < count; ++i) {
    const cell = row.insertCell();
    cell.append("");
    if (i >= numericFrom) cell.className = "n";
  }
}

// What the table says of a run.
function describeRun(run, now) {
  const stage = newest(run), silent = stage && now - stage.last;
  const state = run.error || (run.state === "training" && silent > 300 ? `training, no news for ${duration(silent)}` : run.state);
  const about = [run.name, run.games.join(", "), state];
  if (!stage) return [...about, ...Array(7).fill("–")];
  const times = perUpdate(stage), left = stage.total && stage.per_second ? (stage.total - stage.updates) / stage.per_second : NaN;
  const score = key => last(stage, key) === null ? "–" : `${shown(last(stage, key))} ± ${shown(last(stage, key + "_error"))}`;
  return [...about, stage.name,
    stage.total ? ` ${(100 * shareOf(stage)).toFixed(0)} % of ${shown(stage.total * times)} ${unitOf(stage)}` : `${shown(stage.updates * times)} ${unitOf(stage)}`,
    stage.per_second ? `${shown(stage.per_second * times)} ${unitOf(stage)}/s` : "–",
    run.state === "training" && !stage.done ? duration(left) : "–",
    duration(run.stages.reduce((sum, each) => sum + each.seconds, 0)), score("score"), score("random_score")];
}

const shareOf = stage => stage.done ? 1 : stage.total ? stage.updates / stage.total : 0;

function showRuns(now) {
  fill($("runs"), runs.map(run => describeRun(run, now)), (row, index) => {
    const name = document.createElement("th"), swatch = document.createElement("span"), bar = document.createElement("progress");
    name.scope = "row"; swatch.className = "swatch"; swatch.style.background = `var(--c${index % 6})`;
    name.append(swatch, "");
    row.append(name);
    addCells(row, 9, 4);
    bar.max = 1;
    row.cells[kProgress].prepend(bar);
  });
  runs.forEach((run, index) => {
    const cells = $("runs").rows[index].cells, bar = cells[kProgress].firstChild, stage = newest(run);
    cells[0].title = run.path;
    bar.setAttribute("aria-label", "progress of " + run.name);
    bar.hidden = !stage || !stage.total;
    bar.value = stage ? shareOf(stage) : 0;
  });
}

const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Exponential mean, begun without a bias towards 0.
function smooth(points, weight) {
  let sum = 0, weights = 0;
  return points.map(({x, y}) => {
    sum = weight * sum + (1 - weight) * y; weights = weight * weights + 1 - weight;
    return {x, y: sum / weights};
  });
}

// [{x, y}] of a column: of single updates, or of ends of epochs.
function pointsOf(stage, key, epochs) {
  const y = stage.columns[key], epoch = stage.columns.epoch || [];
  const x = $("axis").value === "hours" ? stage.columns.hours : stepsOf(stage), updates = stage.columns.step;
  const points = [], times = perUpdate(stage);
  for (let i = 0; y && i < y.length; ++i) {
    if (y[i] === null || (epoch[i] != null) !== epochs) continue;
    points.push({x: x[i] === null || x[i] === undefined ? updates[i] * times : x[i], y: y[i]});
  }
  return points;
}

// One chart: a caption that says the newest values, a canvas, and the values as a table.
class Plot {
  constructor(title, place, wide) {
    this.title = title;
    this.figure = document.createElement("figure");
    if (wide) this.figure.className = "wide";
    this.figure.innerHTML = `<h3></h3><div class="canvas"><canvas role="img"></canvas></div><figcaption></figcaption>
      <details><summary>Values</summary><div class="scroll" tabindex="0" role="region"><table><thead><tr>
      <th scope="col">line</th><th scope="col"></th><th scope="col">value</th></tr></thead><tbody></tbody></table></div></details>`;
    this.figure.querySelector("h3").textContent = title;
    this.figure.setAttribute("aria-label", title);
    this.figure.querySelector("summary").setAttribute("aria-label", "Values of " + title);
    this.figure.querySelector(".scroll").setAttribute("aria-label", "values of " + title);
    this.figure.querySelector("details").ontoggle = () => this.showTable();
    place.append(this.figure);
    this.lines = [];
    this.seen = false;
    this.stale = true;
    new IntersectionObserver(entries => { this.seen = entries.some(entry => entry.isIntersecting); this.draw(); }).observe(this.figure);
  }
  // lines: [{name, colour, points, dashed, dots, smoothed}]
  set(lines, logarithmic) {
    this.lines = lines.filter(line => line.points.length);
    this.logarithmic = logarithmic;
    this.stale = true;
    this.figure.hidden = !this.lines.length;
    const texts = this.lines.filter(line => !line.flat).map(line => {
      const values = line.points.map(point => point.y), low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
      return `${line.name}: ${shown(values[values.length - 1])} (${shown(low)} to ${shown(high)})`;
    });
    put(this.figure.querySelector("figcaption"), texts.join(" · "));
    this.figure.querySelector("canvas").setAttribute("aria-label", this.title + ". Newest, lowest and highest values. " + texts.join("; "));
    this.draw();
    this.showTable();
  }
  draw() {
    if (!this.seen || !this.stale) return;
    this.stale = false;
    const weight = Number($("smoothing").value), ink = style("--soft"), grid = style("--line"), datasets = [];
    for (const line of this.lines) {
      const own = {borderColor: line.colour, backgroundColor: line.colour, borderWidth: 1.6, pointRadius: line.dots ? 3 : 0, borderDash: line.dashed ? [6, 4] : []};
      if (line.smoothed && weight > 0 && line.points.length > 2) {
        datasets.push({...own, label: line.name, data: smooth(line.points, weight)});
        datasets.push({...own, label: "", data: line.points, borderColor: line.colour + "40", borderWidth: 1});
      } else datasets.push({...own, label: line.name, data: line.points});
    }
    const type = this.logarithmic ? "logarithmic" : "linear";
    const options = {
      animation: false, parsing: false, normalized: true, maintainAspectRatio: false, spanGaps: true,
      interaction: {mode: "nearest", axis: "x", intersect: false},
      plugins: {decimation: {enabled: true, algorithm: "min-max"},
        legend: {display: this.lines.length > 1, labels: {color: ink, boxWidth: 14, boxHeight: 2, filter: item => item.text !== ""}},
        tooltip: {filter: item => item.dataset.label !== ""}},
      scales: {x: {type: "linear", title: {display: true, text: $("axis").selectedOptions[0].text, color: ink}, ticks: {color: ink, maxRotation: 0}, grid: {color: grid}},
        y: {type, ticks: {color: ink}, grid: {color: grid}}}};
    const canvas = this.figure.querySelector("canvas");
    if (this.chart) { this.chart.options = options; this.chart.data.datasets = datasets; this.chart.update("none"); }
    else this.chart = new Chart(canvas, {type: "line", data: {datasets}, options});
  }
  showTable() {
    put(this.figure.querySelector("th:nth-child(2)"), $("axis").selectedOptions[0].text);
    if (!this.figure.querySelector("details").open) return;
    fill(this.figure.querySelector("tbody"), this.lines.flatMap(line => {
      const count = Math.min(kRows, line.points.length);
      return Array.from({length: count}, (_, i) => {
        const point = line.points[count === 1 ? 0 : Math.round(i * (line.points.length - 1) / (count - 1))];
        return [line.name, shown(point.x), shown(point.y)];
      });
    }), row => addCells(row, 3, 3));
  }
}

const kHidden = new Set(["step", "env_steps", "hours", "epoch", "seconds", "score", "score_error", "score_games", "random_score",
  "random_score_error", "random_score_games", "game_score", "per_second", "gflop_per_step"]);

function plot(title, section, lines, logarithmic = false, wide = false) {
  if (!charts.has(title)) {
    if (!lines.some(line => line.points.length)) return;
    charts.set(title, new Plot(title, document.querySelector(`#${section} .plots`), wide));
  }
  charts.get(title).set(lines, logarithmic);
}

function showCharts() {
  const logarithmic = $("log").checked, wanted = new Map(), curves = new Map(), paces = [];
  const several = new Set(runs.flatMap(run => run.games)).size > 1;  // their scores are not to be compared
  runs.forEach((run, index) => {
    const colour = style("--c" + index % 6), curve = "Score of a game" + (several ? " of " + run.games.join(", ") : "");
    if (!curves.has(curve)) curves.set(curve, []);
    const scores = curves.get(curve);
    for (const stage of run.stages) {
      const of = run.stages.length > 1 ? ", " + stage.name : "";
      scores.push({name: run.name + ", evaluations", colour, points: pointsOf(stage, "score", true), dots: true},
        {name: run.name + ", games while learning", colour, points: pointsOf(stage, "game_score", false), dashed: true, smoothed: true});
      const random = pointsOf(stage, "random_score", true), points = pointsOf(stage, "step", false);
      if (random.length) scores.push({name: "random play, " + run.name, colour: style("--soft"), flat: true, dashed: true,
        points: [{x: 0, y: random[0].y}, {x: points.length ? points[points.length - 1].x : random[0].x, y: random[0].y}]});
      const times = perUpdate(stage);
      paces.push({name: run.name + of, colour, smoothed: true, points: pointsOf(stage, "per_second", false).map(({x, y}) => ({x, y: y * times}))});
      for (const key of stage.keys) {
        if (kHidden.has(key)) continue;
        const title = (stage.name === "agent" ? "" : stage.name + ": ") + key.replaceAll("_", " ");
        if (!wanted.has(title)) wanted.set(title, {key, lines: []});
        wanted.get(title).lines.push({name: run.name, colour, points: pointsOf(stage, key, false), smoothed: true},
          {name: run.name + ", after an epoch", colour, points: pointsOf(stage, key, true), dots: true, dashed: true});
      }
    }
  });
  for (const [title, chart] of charts) if (title.startsWith("Score of a game") && !curves.has(title)) chart.set([]);
  for (const [title, scores] of curves) plot(title, "score", scores, false, true);
  plot("Updates or real steps a second", "pace", paces, true, true);  // the prefill is a hundred times faster
  for (const [title, {key, lines}] of [...wanted].sort()) plot(title, key.includes("loss") ? "losses" : "rest", lines, logarithmic && key.includes("loss"));
  for (const id of ["score", "losses", "pace", "rest"]) $(id).hidden = !document.querySelector(`#${id} figure:not([hidden])`);
}

// One film: a picture of each view at the step of a slider; where there are codes, those of the step and, of the one chosen,
// the frames behind it.
class FilmView {
  constructor(film) {
    this.film = film;
    this.figure = document.createElement("figure");
    this.figure.className = "film";
    this.figure.innerHTML = `<h3></h3><div class="films"></div><div class="bar"><button type="button" aria-pressed="false">play</button>
      <input type="range" min="0" value="0"></div><figcaption></figcaption>`;
    const find = selector => this.figure.querySelector(selector);
    find("h3").textContent = film.title;
    this.slider = find("input"); this.button = find("button"); this.caption = find("figcaption");
    this.slider.max = film.steps - 1;
    this.slider.setAttribute("aria-label", "step of " + film.title);
    this.button.setAttribute("aria-label", "play " + film.title);
    this.figure.setAttribute("aria-label", film.title);
    this.slider.oninput = () => this.draw();
    this.button.onclick = () => this.playing ? this.pause() : this.play();
    this.views = film.views.map(view => {
      const picture = new Image();
      picture.onload = () => this.draw();
      picture.src = view.picture;
      return {...view, picture, canvas: this.canvas(find(".films"), view.name, view.width, view.height)};
    });
    if (film.codes) this.addCodes(find(".films"));
    this.draw();
  }
  canvas(place, name, width, height) {
    const box = document.createElement("div"), title = document.createElement("div"), canvas = document.createElement("canvas");
    title.textContent = name;
    canvas.width = width; canvas.height = height;
    canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", name);
    box.append(title, canvas); place.append(box);
    return canvas;
  }
  addCodes(place) {
    const {grid, level_codes: levels} = this.film.codes;
    this.codes = this.canvas(place, "codes, a square a level", levels.length * (grid + 1) - 1, grid);
    this.codes.onclick = event => {
      const level = Math.floor(event.offsetX / this.codes.clientWidth * (levels.length * (grid + 1) - 1) / (grid + 1));
      const column = Math.floor(event.offsetX / this.codes.clientWidth * (levels.length * (grid + 1) - 1)) - level * (grid + 1);
      if (column < grid) this.choose(level, Math.floor(event.offsetY / this.codes.clientHeight * grid), column);
    };
    const bar = document.createElement("div");
    bar.className = "bar"; bar.setAttribute("role", "group"); bar.setAttribute("aria-label", "a place of " + this.film.title);
    this.chosen = ["level", "row", "column"].map((name, i) => {
      const label = document.createElement("label"), input = document.createElement("input");
      input.type = "number"; input.min = 1; input.max = i ? grid : levels.length; input.value = i ? Math.ceil(grid / 2) : 1;
      input.oninput = () => this.draw();
      label.append(name, input); bar.append(label);
      return input;
    });
    this.told = document.createElement("p"); this.told.className = "missing";
    this.behind = document.createElement("div"); this.behind.className = "behind";
    this.figure.append(bar, this.told, this.behind);
  }
  choose(...chosen) { chosen.forEach((value, i) => { this.chosen[i].value = value + 1; }); this.draw(); }
  // The picture of a step, of the view that is drawn from the codes where there is one.
  paint(canvas, view, step) {
    const {columns} = this.film, {picture, width, height} = this.views[view];
    canvas.getContext("2d").drawImage(picture, step % columns * width, Math.floor(step / columns) * height, width, height, 0, 0, width, height);
  }
  draw() {
    const step = Number(this.slider.value);
    this.views.forEach(({canvas}, view) => this.paint(canvas, view, step));
    put(this.caption, this.film.captions[step]);
    this.slider.setAttribute("aria-valuetext", this.film.captions[step]);
    if (this.codes) this.drawCodes(step);
  }
  drawCodes(step) {
    const {grid, level_codes: levels, steps} = this.film.codes, pen = this.codes.getContext("2d");
    const [level, row, column] = this.chosen.map(input => Math.min(Math.max(1, Math.round(Number(input.value)) || 1), Number(input.max)) - 1);
    pen.clearRect(0, 0, this.codes.width, this.codes.height);
    for (let l = 0; l < levels.length; ++l) for (let place = 0; place < grid * grid; ++place) {
      const code = steps[step][place * levels.length + l], chosen = l === level && place === row * grid + column;
      pen.fillStyle = chosen ? "#fff" : `hsl(${Math.round(300 * code / levels[l])} 50% ${30 + 30 * code / levels[l]}%)`;
      pen.fillRect(l * (grid + 1) + place % grid, Math.floor(place / grid), 1, 1);
    }
    const place = row * grid + column, code = steps[step][place * levels.length + level];
    const frames = steps.flatMap((codes, at) => codes[place * levels.length + level] === code ? [at] : []);
    const key = [level, place, code].join();
    put(this.told, `Code ${code} of level ${level + 1} at row ${row + 1}, column ${column + 1}: in ${frames.length} of ${steps.length} steps.` +
      ` Some of the frames behind it, the place framed:`);
    if (this.shown === key || !this.views.every(({picture}) => picture.complete)) return;
    this.shown = key;
    this.behind.replaceChildren();
    const {width, height} = this.views[0], count = Math.min(12, frames.length);
    for (let i = 0; i < count; ++i) {
      const canvas = document.createElement("canvas"), at = frames[Math.floor(i * frames.length / count)];
      canvas.width = width; canvas.height = height;
      canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", this.film.captions[at]);
      this.paint(canvas, 0, at);
      const frame = canvas.getContext("2d");
      frame.strokeStyle = "#ff5a36";
      frame.strokeRect(column * width / grid - 0.5, row * height / grid - 0.5, width / grid + 1, height / grid + 1);
      this.behind.append(canvas);
    }
  }
  play() {
    if (Number(this.slider.value) === this.film.steps - 1) this.slider.value = 0;
    this.button.setAttribute("aria-pressed", true);
    this.playing = setInterval(() => {
      this.slider.value = Number(this.slider.value) + 1;
      this.draw();
      if (Number(this.slider.value) === this.film.steps - 1 || !this.figure.isConnected) this.pause();
    }, 80);
  }
  pause() { clearInterval(this.playing); this.playing = 0; this.button.setAttribute("aria-pressed", false); }
}

async function showPictures(index) {
  const name = runs[index].name, note = $("pictures_note");
  note.textContent = `Making the pictures of ${name} …`;
  try {
    let album = await call("pictures", {run: index, newest: true});
    while (!album.ready) {
      await new Promise(done => setTimeout(done, 1000));
      album = await call("pictures", {run: index});
    }
    const codes = document.createElement("div");
    codes.className = "codes";
    codes.innerHTML = album.codes ? `<h3>How codes are used</h3>${album.codes}` : "";
    $("pictures").replaceChildren(...album.films.map(film => new FilmView(film).figure), codes);
    note.textContent = album.error || (album.films.length || album.codes ? `Pictures of ${name}.` : `${name} has no pictures yet: they come with its first checkpoint or evaluation.`);
  } catch (error) { note.textContent = error.message; }
}

function offerPictures() {
  if ($("ask").children.length === runs.length) return;
  $("ask").replaceChildren(...runs.map((run, index) => {
    const button = document.createElement("button");
    button.textContent = "show " + run.name;
    button.onclick = () => showPictures(index);
    return button;
  }));
}

async function look() {
  const own = ++asked;
  try {
    const seen = runs.map(run => Object.fromEntries(run.stages.map(stage => [stage.name, [stage.generation, stage.count]])));
    const got = await call("runs", {seen});
    if (own !== asked) return;
    const before = runs;
    runs = got.runs;
    runs.forEach((run, r) => run.stages.forEach(stage => join(before[r] && before[r].stages.find(other => other.name === stage.name), stage)));
    showRuns(got.now);
    offerPictures();
    if (!before.length || runs.some(run => run.stages.some(stage => stage.news))) showCharts();
    const names = runs.map(run => run.name).join(", ");
    if (document.title !== names + " · hidreamer") document.title = names + " · hidreamer";
    put($("title"), names);
    put($("note"), "");
  } catch (error) {
    $("note").textContent = error instanceof TypeError ? "The program no longer answers: start hidreamer serve again." : error.message;
  }
}

async function loop() {
  if (!document.hidden) await look();
  setTimeout(loop, kEvery);
}

Chart.defaults.font.family = "system-ui, sans-serif";
for (const id of ["axis", "smoothing", "log"]) $(id).oninput = showCharts;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showCharts);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
loop();
