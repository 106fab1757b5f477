// What the pages share.
"use strict";
const $ = id => document.getElementById(id);

// Writes a text where it has changed: what is written anew, a screen reader may read out anew.
function put(node, text) { if (node.textContent !== text) node.textContent = text; }

// The action of `names` that keys ask for. Where a game has no UP and DOWN but RIGHT and LEFT, as Pong has, those are meant.
function actionOfKeys(keys, names) {
  const has = name => names.includes(name);
  let across = keys.has("ArrowRight") ? "RIGHT" : keys.has("ArrowLeft") ? "LEFT" : "";
  let along = keys.has("ArrowUp") ? "UP" : keys.has("ArrowDown") ? "DOWN" : "";
  if (along && !has(along)) { across = across || (along === "UP" ? "RIGHT" : "LEFT"); along = ""; }
  const fire = keys.has(" ") ? "FIRE" : "";
  for (const name of [along + across + fire, along + across, across + fire, along, across, fire, "NOOP", "STAY"])
    if (name && has(name)) return names.indexOf(name);
  return 0;
}

// Without "-0".
const fixed = (x, digits) => (Number(x.toFixed(digits)) || 0).toFixed(digits);
