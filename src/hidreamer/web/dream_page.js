// The page around a dream: pictures, figures, keys and buttons.
"use strict";
const kOver = 0.5;         // the dream is over where it likelier ends than goes on
const kEpilogue = 2500;    // ms until the agent dreams anew
const data = JSON.parse($("dream").textContent || "null");
const held = new Set(), tapped = new Set();  // keys and actions: down now, and pressed since the last step
let agent = null, dream = null, running = true, agentPlays = true, over = false, slow = 0;

// An action itself counts before the keys of the keyboard.
function actionOf(keys) {
  return [...keys].find(key => typeof key === "number") ?? actionOfKeys(keys, data.actions);
}

const whole = x => x.toLocaleString("en");

function show() {
  const pen = $("picture").getContext("2d"), size = $("picture").width, image = pen.createImageData(size, size);
  dream.picture().forEach((gray, i) => image.data.fill(Math.round(255 * gray), 4 * i, 4 * i + 3).fill(255, 4 * i + 3, 4 * i + 4));
  pen.putImageData(image, 0, 0);
  put($("score"), fixed(dream.score, 1));
  put($("continues"), fixed(100 * dream.continues, 0) + " %");
  put($("step"), String(dream.steps));
  dream.probabilities.forEach((share, action) => {
    const row = $("actions").children[action];
    row.className = "action" + (action === dream.action ? " taken" : "");
    row.children[0].setAttribute("aria-current", action === dream.action);
    row.children[1].style.width = 100 * share + "%";
    put(row.children[2], fixed(100 * share, 0) + " %");
  });
}

function say(text) { put($("note"), text); }

function step() {
  const action = agentPlays ? dream.choose() : actionOf(new Set([...held, ...tapped]));
  tapped.clear();
  dream.step(action, Number($("temperature").value));
  show();
  if (dream.continues < kOver) end();
  else if (Math.abs(dream.reward) > 0.5) say(`A point ${dream.reward > 0 ? "won" : "lost"}: score ${fixed(dream.score, 1)}.`);
}

function end() {
  over = true;
  $("once").setAttribute("aria-disabled", true);
  say(`The dreamed game is over. Score ${fixed(dream.score, 1)}. ` + (agentPlays ? "" : "N begins a new dream."));
  const ended = dream;
  if (agentPlays) setTimeout(() => { if (dream === ended && agentPlays && running) begin(); }, kEpilogue);
}

function begin() {
  over = false;
  $("once").setAttribute("aria-disabled", false);
  const drawn = crypto.getRandomValues(new Uint32Array(2));
  dream = new Dream(agent, data.starts[drawn[0] % data.starts.length], drawn[1]);
  say(agentPlays ? "The agent plays: press an arrow to take over." : "A new dream.");
  show();
}

function pause(on) {
  running = !on;
  $("run").setAttribute("aria-pressed", on);
}

function letAgentPlay(on) {
  agentPlays = on;
  $("agent").setAttribute("aria-pressed", on);
  $("person").setAttribute("aria-pressed", !on);
  if (over) begin();
}

function stepOnce() {
  pause(true);
  if (!over) step();
}

function loop() {
  const started = performance.now(), wanted = 1000 / Number($("speed").value);
  if (running && !over && !document.hidden) {
    step();
    const took = performance.now() - started;
    slow = 0.95 * slow + 0.05 * took;
    put($("speed_shown"), $("speed").value + (slow > wanted ? ` (this device: ${fixed(1000 / slow, 0)})` : ""));
  }
  setTimeout(loop, Math.max(0, wanted - (performance.now() - started)));
}

function press(key) {
  if (agentPlays) letAgentPlay(false);
  held.add(key);
  tapped.add(key);
}

// While it is held, `button` is `key`: one of the keyboard's, or an action.
function holdable(button, key) {
  button.addEventListener("pointerdown", event => {
    event.preventDefault();
    button.setPointerCapture(event.pointerId);
    button.classList.add("held");
    press(key);
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    button.addEventListener(end, () => { button.classList.remove("held"); held.delete(key); });
  button.addEventListener("click", event => {  // by the keyboard, or a screen reader: once
    if (event.detail === 0) { press(key); held.delete(key); }
  });
  button.addEventListener("contextmenu", event => event.preventDefault());
}

function onKey(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const focused = event.target.tagName;  // whose own keys come first
  if (key.startsWith("Arrow") ? focused !== "INPUT" : key === " " && !["BUTTON", "SUMMARY", "INPUT"].includes(focused)) {
    event.preventDefault();
    press(key);
  } else if (event.repeat && key !== "s") return;
  else if (key === "a") letAgentPlay(!agentPlays);
  else if (key === "p") pause(running);
  else if (key === "s") stepOnce();
  else if (key === "n") begin();
}

function describe() {
  const {about, options, starts} = data, world = options.world_model, real = about.score != null;
  const score = real && `${fixed(about.score, 1)}\u00a0±\u00a0${fixed(about.score_error, 1)}`;
  document.title = `${about.game}: a dream to play in`;
  $("title").innerHTML = "";
  $("title").append(about.game + ": ", Object.assign(document.createElement("b"), {textContent: "a dream to play in"}));
  $("about").textContent = `No game runs here: a neural network that has seen ${whole(about.steps)} steps of ${about.game} dreams it, and the ` +
    "actions, yours or its agent's, are all that steers the dream." +
    (real ? ` In the real game the agent scores ${score}` + (about.random == null ? "." : `, random play ${fixed(about.random, 1)}.`) : "");
  const facts = {
    "what you see": "each picture, point and end is the network's guess of what follows the action, from its own guesses before it",
    "learned from": `${whole(about.steps)} steps of the real game, seed ${about.seed}`,
    "score in the real game": real ? `${score} over ${about.score_games} games` : "not measured",
    "a picture": `64 x 64 pixels from ${world.layout.places} x ${world.layout.levels} codes`,
    "world model": `${world.channels} channels, ${world.layers} transformer blocks of width ${world.width}, at most ${world.max_steps} steps at a time`,
    "numbers": `${whole(agent.numbers)}, each of 16 bits`,
    "beginnings": `${starts.length}, of ${world.context} recorded steps each`,
  };
  for (const [name, value] of Object.entries(facts)) {
    const row = $("facts").insertRow();
    row.append(Object.assign(document.createElement("th"), {textContent: name, scope: "row"}));
    row.insertCell().textContent = value;
  }
}

function addActions() {
  data.actions.forEach((name, action) => {
    const row = document.createElement("div"), button = document.createElement("button");
    button.textContent = name;
    button.setAttribute("aria-label", "play " + name);
    holdable(button, action);
    row.append(button, ...["share", "number"].map(name => Object.assign(document.createElement("div"), {className: name})));
    row.className = "action";
    row.children[1].setAttribute("aria-hidden", "true");
    $("actions").append(row);
  });
}

function addControls() {
  const idle = actionOf(new Set());
  for (const button of $("pad").children) {
    const key = button.dataset.key;
    holdable(button, key);
    button.disabled = actionOf(new Set([key])) === idle;
    if (button.disabled && key === " ") button.hidden = true;
  }
  addEventListener("keydown", onKey);
  addEventListener("keyup", event => held.delete(event.key));
  addEventListener("blur", () => held.clear());
  // After a click the space bar is for the game again.
  addEventListener("click", event => { if (event.detail > 0 && document.activeElement?.tagName === "BUTTON") document.activeElement.blur(); });
  $("agent").onclick = () => letAgentPlay(true);
  $("person").onclick = () => letAgentPlay(false);
  $("run").onclick = () => pause(running);
  $("once").onclick = stepOnce;
  $("again").onclick = begin;
  for (const id of ["temperature", "speed"]) {
    const shown = () => { $(id + "_shown").textContent = $(id).value; };
    $(id).oninput = shown;
    shown();
  }
}

if (location.hash === "#test") {
  document.body.replaceChildren(Object.assign(document.createElement("pre"), {id: "trace", textContent: traceDream(data)}));
} else if (data) {
  agent = new Agent(data);
  describe();
  addActions();
  addControls();
  begin();
  pause(matchMedia("(prefers-reduced-motion: reduce)").matches);
  loop();
}
