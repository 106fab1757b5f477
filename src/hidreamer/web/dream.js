// An agent's world model, actor and picture decoder: what `hidreamer export RUN --html` puts into its page, in the
// order of src/hidreamer/world_model/step_world.cc. No page is needed to run it.
//
// Everything is a Float32Array of rows, channels last, as the shapes beside it say.
//   P places of the grid (G x G) · L levels of codes · C channels of the quantized grid · K channels of the local path
//   D width of the transformer · A actions · N rows
"use strict";

// ---- Layers

// x (N, inputs) -> (N, outputs). Two rows by four outputs at a time: what is loaded is used more than once.
function linear({weight, bias, inputs, outputs}, x) {
  const rows = x.length / inputs, y = new Float32Array(rows * outputs);
  const at = o => (bias ? bias[o] : 0);
  let o = 0;
  for (; o + 3 < outputs; o += 4) {
    const w0 = o * inputs, w1 = w0 + inputs, w2 = w1 + inputs, w3 = w2 + inputs;
    const b0 = at(o), b1 = at(o + 1), b2 = at(o + 2), b3 = at(o + 3);
    let r = 0;
    for (; r + 1 < rows; r += 2) {
      const x0 = r * inputs, x1 = x0 + inputs, y0 = r * outputs + o, y1 = y0 + outputs;
      let s00 = b0, s01 = b1, s02 = b2, s03 = b3, s10 = b0, s11 = b1, s12 = b2, s13 = b3;
      for (let i = 0; i < inputs; ++i) {
        const a = x[x0 + i], b = x[x1 + i];
        const p = weight[w0 + i], q = weight[w1 + i], s = weight[w2 + i], t = weight[w3 + i];
        s00 += a * p; s01 += a * q; s02 += a * s; s03 += a * t;
        s10 += b * p; s11 += b * q; s12 += b * s; s13 += b * t;
      }
      y[y0] = s00; y[y0 + 1] = s01; y[y0 + 2] = s02; y[y0 + 3] = s03;
      y[y1] = s10; y[y1 + 1] = s11; y[y1 + 2] = s12; y[y1 + 3] = s13;
    }
    for (; r < rows; ++r) {
      const x0 = r * inputs, y0 = r * outputs + o;
      let s0 = b0, s1 = b1, s2 = b2, s3 = b3;
      for (let i = 0; i < inputs; ++i) {
        const a = x[x0 + i];
        s0 += a * weight[w0 + i]; s1 += a * weight[w1 + i]; s2 += a * weight[w2 + i]; s3 += a * weight[w3 + i];
      }
      y[y0] = s0; y[y0 + 1] = s1; y[y0 + 2] = s2; y[y0 + 3] = s3;
    }
  }
  for (; o < outputs; ++o) {
    for (let r = 0; r < rows; ++r) {
      let sum = at(o);
      for (let i = 0; i < inputs; ++i) sum += x[r * inputs + i] * weight[o * inputs + i];
      y[r * outputs + o] = sum;
    }
  }
  return y;
}

// x (G G, I) -> (G G, O), kernel 1 or 3, zeros beyond the border.
function convolve(layer, x) {
  const channels = layer.shape[1], places = x.length / channels, grid = Math.sqrt(places);
  if (layer.shape[2] === 1) return linear(layer, x);
  const patches = new Float32Array(places * channels * 9);  // (G G, I 3 3)
  for (let row = 0; row < grid; ++row) {
    for (let column = 0; column < grid; ++column) {
      const patch = (row * grid + column) * channels * 9;
      for (let tap = 0; tap < 9; ++tap) {
        const y = row + Math.floor(tap / 3) - 1, x0 = column + tap % 3 - 1;
        if (y < 0 || y >= grid || x0 < 0 || x0 >= grid) continue;
        const from = (y * grid + x0) * channels;
        for (let c = 0; c < channels; ++c) patches[patch + c * 9 + tap] = x[from + c];
      }
    }
  }
  return linear(layer, patches);
}

// x (D) -> (D), mean 0 and variance 1, then scaled and shifted.
function layerNorm({weight, bias}, x) {
  const n = x.length;
  let mean = 0, variance = 0;
  for (const value of x) mean += value / n;
  for (const value of x) variance += (value - mean) ** 2 / n;
  const scale = 1 / Math.sqrt(variance + 1e-5);
  return x.map((value, i) => (value - mean) * scale * weight[i] + bias[i]);
}

function erf(x) {
  if (Math.abs(x) > 4) return Math.sign(x);
  let term = x, sum = x;  // Taylor
  for (let n = 1; Math.abs(term) > 1e-10; ++n) {
    term *= -x * x / n;
    sum += term / (2 * n + 1);
  }
  return sum * 2 / Math.sqrt(Math.PI);
}

const relu = x => { for (let i = 0; i < x.length; ++i) if (x[i] < 0) x[i] = 0; return x; };
const gelu = x => x.map(value => value * (1 + erf(value * Math.SQRT1_2)) / 2);
const silu = x => x.map(value => value / (1 + Math.exp(-value)));
const sigmoid = x => 1 / (1 + Math.exp(-x));

function add(x, y) {
  for (let i = 0; i < x.length; ++i) x[i] += y[i];
  return x;
}

function concatenate(...parts) {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

function softmax(x) {
  const largest = Math.max(...x), powers = Array.from(x, value => Math.exp(value - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map(power => power / total);
}

// x (N, M) -> (M, N): channels last to channels first, and back.
function transpose(x, columns) {
  const rows = x.length / columns, y = new Float32Array(x.length);
  for (let r = 0; r < rows; ++r) for (let c = 0; c < columns; ++c) y[c * rows + r] = x[r * columns + c];
  return y;
}

// Channels to pixels: x (G G, M f f) -> (G f G f, M).
function unfold(x, channels, f) {
  const places = x.length / channels, grid = Math.sqrt(places), kept = channels / (f * f), y = new Float32Array(x.length);
  for (let p = 0; p < places; ++p) {
    const row = Math.floor(p / grid) * f, column = p % grid * f;
    for (let c = 0; c < channels; ++c) {
      const inner = c % (f * f), pixel = (row + Math.floor(inner / f)) * grid * f + column + inner % f;
      y[pixel * kept + Math.floor(c / (f * f))] = x[p * channels + c];
    }
  }
  return y;
}

// ---- Draws

// Numbers in [0, 1) of 24 bits, the same for the same seed (mulberry32).
function uniformsFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6D2B79F5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 8) / 2 ** 24;
  };
}

// The category in which `uniform` falls.
function categoryAt(probabilities, uniform) {
  const threshold = uniform * probabilities.reduce((sum, share) => sum + share, 0);
  let below = 0;
  for (let i = 0; i < probabilities.length; ++i) {
    below += probabilities[i];
    if (below > threshold) return i;
  }
  return probabilities.length - 1;
}

// ---- Weights

// What the page holds: numbers of half precision, one tensor after the other, in base64.
class Weights {
  constructor(dream) {
    const bytes = Uint8Array.from(atob(dream.weights), letter => letter.charCodeAt(0));
    const halves = new DataView(bytes.buffer), meaning = new Float32Array(1 << 16);
    for (let h = 0; h < 1 << 16; ++h) {
      const power = h >> 10 & 31, fraction = h & 1023;
      const size = power ? (1 + fraction / 1024) * 2 ** (power - 15) : fraction * 2 ** -24;
      meaning[h] = h & 0x8000 ? -size : size;
    }
    this.count = bytes.length / 2;
    this.tensors = new Map();
    let at = 0;
    for (const {name, shape} of dream.tensors) {
      const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
      for (let i = 0; i < data.length; ++i) data[i] = meaning[halves.getUint16(2 * at++, true)];
      this.tensors.set(name, {data, shape});
    }
  }
  tensor(name) { return this.tensors.get(name).data; }
  // A linear layer, a convolution or a norm: weight (outputs, inputs…), bias (outputs).
  layer(name, separator = ".") {
    const {data, shape} = this.tensors.get(name + separator + "weight");
    return {weight: data, shape, bias: this.tensor(name + separator + "bias"), outputs: shape[0], inputs: data.length / shape[0]};
  }
  layers(prefix, count, suffix = "") { return Array.from({length: count}, (_, i) => this.layer(prefix + i + suffix)); }
  // Rows (n, width) of an embedding.
  rows(name) {
    const {data, shape} = this.tensors.get(name), width = data.length / shape[0];
    return Array.from({length: shape[0]}, (_, i) => data.subarray(i * width, (i + 1) * width));
  }
}

// ---- Tokenizer

class Tokenizer {
  constructor(weights, options) {
    const {body, grid, frame_size, quantizer, fsq_levels, rvq_levels} = options;
    this.unfolded = body === "places" ? frame_size / grid : 4;
    const name = i => `tokenizer.decoder.${i}`;
    if (body === "places") {
      this.in = weights.layer(name(0));
      this.places = transpose(weights.tensor("tokenizer.decoder_places"), grid * grid);  // (P, width)
      this.middle = [weights.layer(name(3))];
      this.out = weights.layer(name(5));
    } else {
      const doublings = Math.log2(frame_size / grid / 4), from = i => 2 + 3 * i;
      this.in = weights.layer(name(0));
      this.doubling = Array.from({length: doublings}, (_, i) => weights.layer(name(from(i))));
      this.middle = [weights.layer(name(from(doublings)))];
      this.out = weights.layer(name(from(doublings) + 2));
    }
    this.background = weights.tensor("tokenizer.background");
    this.levels = quantizer === "fsq" ? fsq_levels.length : rvq_levels;
    // What a code of a level adds to a place's values (C).
    this.codewords = Array.from({length: this.levels}, (_, level) => quantizer === "fsq"
      ? Array.from({length: fsq_levels[level]}, (_, code) => {
          const half = Math.floor(fsq_levels[level] / 2), values = new Float32Array(this.levels);
          values[level] = (code - half) / half;
          return values;
        })
      : weights.rows(`tokenizer.quantizer.vq_layers.${level}.codebook.weight`));
  }
  // codes (P, L) -> (P, C)
  values(codes) {
    const channels = this.codewords[0][0].length, places = codes.length / this.levels;
    const values = new Float32Array(places * channels);
    codes.forEach((code, i) => add(values.subarray(Math.floor(i / this.levels) * channels).subarray(0, channels),
                                   this.codewords[i % this.levels][code]));
    return values;
  }
  // values (P, C) -> gray in [0, 1], (S S)
  picture(values) {
    let x = convolve(this.in, values);
    x = relu(this.places ? add(x, this.places) : x);
    for (const layer of this.doubling || []) x = relu(unfold(convolve(layer, x), layer.outputs, 2));
    for (const layer of this.middle) x = relu(convolve(layer, x));
    return add(unfold(convolve(this.out, x), this.out.outputs, this.unfolded), this.background);
  }
}

// ---- World

class World {
  constructor(weights, options) {
    const {layout, channels, local_blocks, layers, local_path, depth_head} = options;
    const layer = name => weights.layer("world_model." + name), rows = name => weights.rows(`world_model.${name}.weight`);
    Object.assign(this, {options, actions: layout.actions, levels: layout.levels, places: layout.places});
    this.frames = local_path ? options.local_frames : 1;  // newest grids that the local path reads
    this.localIn = layer("local_in");
    this.localPlaces = transpose(weights.tensor("world_model.local_places"), layout.places);  // (P, K)
    this.local = weights.layers("world_model.local_", local_blocks);
    this.tokenGrid = layer("token_grid");
    this.tokenLinear = layer("token_linear");
    this.tokenAction = rows("token_action");
    this.tokenStep = rows("token_step");
    this.blocks = Array.from({length: layers}, (_, i) => ({
      norm1: layer(`blocks_${i}.ln1`), project: weights.layer(`world_model.blocks_${i}.attn.in_proj`, "_"),
      output: layer(`blocks_${i}.attn.out_proj`), norm2: layer(`blocks_${i}.ln2`),
      expand: layer(`blocks_${i}.ffn.0`), contract: layer(`blocks_${i}.ffn.3`),
    }));
    this.norm = layer("norm");
    this.afterAction = rows("after_action");
    this.afterHidden = layer("after_hidden");
    this.afterPlaces = local_path ? null : layer("after_places");
    this.after = weights.layers("world_model.after_", local_blocks);
    this.depth = Array.from({length: layout.levels}, (_, level) => ({
      in: layer(`depth_${level}_in`), out: layer(`depth_${level}_out`),
      coarser: Array.from({length: depth_head ? level : 0}, (_, j) => rows(`depth_${level}_code${j}`)),
    }));
    this.outcomeGrid = layer("outcome_grid");
    this.outcome = layer("outcome_linear");
    this.reward = layer("outcome_reward");
    this.goesOn = layer("outcome_continue");
  }
  // Features of the newest grids, each (P, C), newest first -> (P, K).
  readLocal(grids) {
    const channels = grids[0].length / this.places, x = new Float32Array(this.places * channels * grids.length);
    grids.forEach((grid, age) => {
      for (let p = 0; p < this.places; ++p)
        x.set(grid.subarray(p * channels, (p + 1) * channels), (p * grids.length + age) * channels);
    });
    let y = relu(add(convolve(this.localIn, x), this.localPlaces));
    for (const block of this.local) y = add(relu(convolve(block, y)), y);
    return y;
  }
  // What follows an action: hidden (D), local (P, K) -> features of the places (P, K), reward, probability to go on.
  follow(hidden, local, action) {
    const channels = local.length / this.places, state = add(hidden.slice(), this.afterAction[action]);
    const shifts = linear(this.afterHidden, state);  // (2, K)
    let x = local.map((value, i) => value * (1 + shifts[i % channels]) + shifts[channels + i % channels]);
    if (this.afterPlaces) x = add(x, transpose(linear(this.afterPlaces, state), this.places));
    x = relu(x);
    for (const block of this.after) x = add(relu(convolve(block, x)), x);
    const seen = relu(convolve(this.outcomeGrid, x));  // (P, 4)
    const outcome = relu(linear(this.outcome, concatenate(state, transpose(seen, this.outcomeGrid.outputs))));
    return {places: x, reward: twoHotMean(softmax(linear(this.reward, outcome))), continues: sigmoid(linear(this.goesOn, outcome)[0])};
  }
  // The next codes, level by level: places (P, K), codes of now (P, L), uniforms (P, L) -> (P, L).
  draw(places, now, temperature, uniforms) {
    const codes = new Uint16Array(now.length), stays = Math.log(this.options.changed_weight), levels = this.levels;
    this.depth.forEach((depth, level) => {
      const x = linear(depth.in, places), width = depth.in.outputs;  // (P, 64)
      for (let p = 0; p < this.places; ++p)
        depth.coarser.forEach((rows, j) => add(x.subarray(p * width, (p + 1) * width), rows[codes[p * levels + j]]));
      const logits = linear(depth.out, relu(x)), count = depth.out.outputs;  // (P, V)
      for (let p = 0; p < this.places; ++p) {
        const own = logits.subarray(p * count, (p + 1) * count), at = p * levels + level;
        own[now[at]] += stays;
        codes[at] = temperature > 0 ? categoryAt(softmax(own.map(logit => logit / temperature)), uniforms[at])
                                    : own.indexOf(Math.max(...own));
      }
    });
    return codes;
  }
}

// Mean of the bins at symexp(-12) … symexp(12), in pairs of opposite ones: equal shares give exactly 0.
function twoHotMean(shares) {
  const half = (shares.length - 1) / 2;
  let mean = 0;
  for (let i = 1; i <= half; ++i) mean += (shares[half + i] - shares[half - i]) * Math.expm1(i * 12 / half);
  return mean;
}

// The transformer over at most max_steps steps. A longer dream goes on in a rollout that has read its last `context`
// steps; that one reads along beforehand, so that no step takes much longer than another.
class Rollout {
  constructor(world) {
    const {max_steps, width, context} = world.options;
    Object.assign(this, {world, position: 0, room: max_steps, heirReads: max_steps - context, heir: null, grids: null});
    this.keys = world.blocks.map(() => new Float32Array(max_steps * width));
    this.cached = world.blocks.map(() => new Float32Array(max_steps * width));
  }
  // Takes in the next step, values (P, C) and the action that led to it (A: none); returns the rollout to go on with.
  push(values, action) {
    const {world} = this;
    // Before the rollout's first step its grid is taken to have stood still.
    this.grids = this.grids ? [values, ...this.grids.slice(0, -1)] : Array(world.frames).fill(values);
    this.local = world.readLocal(this.grids);
    const summary = transpose(relu(convolve(world.tokenGrid, this.local)), world.tokenGrid.outputs);  // (8, P)
    let x = add(add(linear(world.tokenLinear, summary), world.tokenAction[action]), world.tokenStep[this.position]);
    world.blocks.forEach((block, i) => {
      x = add(x, linear(block.output, this.attend(linear(block.project, layerNorm(block.norm1, x)), this.keys[i], this.cached[i])));
      x = add(x, linear(block.contract, gelu(linear(block.expand, layerNorm(block.norm2, x)))));
    });
    this.hidden = layerNorm(world.norm, x);  // (D)
    this.codesState = concatenate(transpose(values, values.length / world.places), summary);
    if (this.position >= this.heirReads) this.heir = (this.heir || new Rollout(world)).push(values, action);
    return ++this.position < this.room ? this : this.heir;
  }
  // Queries, keys and values (3 D) of the newest step -> (D).
  attend(projected, keys, cached) {
    const {width, heads} = this.world.options, size = width / heads, y = new Float32Array(width);
    keys.set(projected.subarray(width, 2 * width), this.position * width);
    cached.set(projected.subarray(2 * width), this.position * width);
    for (let from = 0; from < width; from += size) {
      const scores = Array.from({length: this.position + 1}, (_, step) => {
        let score = 0;
        for (let i = from; i < from + size; ++i) score += projected[i] * keys[step * width + i];
        return score / Math.sqrt(size);
      });
      softmax(scores).forEach((share, step) => {
        for (let i = from; i < from + size; ++i) y[i] += share * cached[step * width + i];
      });
    }
    return y;
  }
}

// ---- Agent and dream

// Norm, linear, SiLU, linear, SiLU, linear, and a share of chance: state (F) -> probabilities (A).
class Actor {
  constructor(weights, {sees, unimix}) {
    this.norm = weights.layer("actor.net.0");
    this.layers = [1, 3, 5].map(i => weights.layer("actor.net." + i));
    Object.assign(this, {sees, unimix});
  }
  probabilities({codesState, hidden}) {
    const [first, second, last] = this.layers;
    const state = this.sees === "hidden" ? hidden : this.sees === "codes" ? codesState : concatenate(codesState, hidden);
    const logits = linear(last, silu(linear(second, silu(linear(first, layerNorm(this.norm, state))))));
    return softmax(logits).map(share => share * (1 - this.unimix) + this.unimix / logits.length);
  }
}

class Agent {
  constructor(dream) {
    const weights = new Weights(dream);
    this.tokenizer = new Tokenizer(weights, dream.options.tokenizer);
    this.world = new World(weights, dream.options.world_model);
    this.actor = new Actor(weights, dream.options);
    this.numbers = weights.count;
    this.actionTemperature = dream.action_temperature;
  }
}

// A dream that goes on from recorded steps: start {codes: T of (P, L), actions: T}. The same start, seed, actions and
// temperatures give the same dream.
class Dream {
  constructor(agent, start, seed) {
    this.agent = agent;
    this.uniform = uniformsFrom(seed);
    this.rollout = new Rollout(agent.world);
    Object.assign(this, {steps: 0, score: 0, reward: 0, continues: 1, action: -1});
    start.codes.forEach((codes, t) => this.take(codes, start.actions[t]));
  }
  take(codes, action) {
    this.codes = codes;
    this.values = this.agent.tokenizer.values(codes);
    this.rollout = this.rollout.push(this.values, action);
    this.probabilities = this.agent.actor.probabilities(this.rollout);
  }
  // The agent's own choice, drawn as hidreamer eval draws it.
  choose() {
    const likelier = this.probabilities.map(share => share ** (1 / this.agent.actionTemperature));
    return categoryAt(likelier, this.uniform());
  }
  step(action, temperature) {
    const {world} = this.agent, uniforms = Float64Array.from({length: this.codes.length}, this.uniform);
    const next = world.follow(this.rollout.hidden, this.rollout.local, action);
    this.take(world.draw(next.places, this.codes, temperature, uniforms), action);
    Object.assign(this, {reward: next.reward, continues: next.continues, action});
    this.score += next.reward;
    ++this.steps;
  }
  picture() { return this.agent.tokenizer.picture(this.values); }
}

// The agent's play in the first start's dream, as JSON: the program's own must be the same (dream_page_test.cc).
function traceDream(data, {seed = 1, steps = 40, temperature = 1} = {}) {
  const dream = new Dream(new Agent(data), data.starts[0], seed), trace = [];
  while (trace.length < steps) {
    dream.step(dream.choose(), temperature);
    trace.push({action: dream.action, codes: Array.from(dream.codes), reward: dream.reward, continues: dream.continues});
  }
  return JSON.stringify({trace, picture: Array.from(dream.picture())});
}
