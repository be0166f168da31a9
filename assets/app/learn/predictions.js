// Predict, then see: six questions about lesson 1. What answers one stays covered until the guess is in. `answer` gives
// a share, or null while it is still being worked out; `unit` is what it is told in, if not in per cent.
const ROUNDS = [
  {
    preset: "rare",
    more: { n: 400, level: 0, seed: 1 },
    hide: ["ess"],
    ask: "The biased set has 1 point in 10 on the right, the reference every second. Weighted to match the reference, its 1,000 clean points are worth fewer unweighted ones. How many, in per cent of 1,000?",
    answer: () => curves && curves.true_ess[0],
    why: "The few right-hand points carry weight 5, the many others 0.56, and uneven weights waste points. That is the price of weighting.",
  },
  {
    preset: "rare",
    more: { n: 400, level: 12, seed: 1 },
    hide: ["ess"],
    ask: "And at noise level 6.6, where the groups run into each other?",
    answer: () => curves && curves.true_ess[12],
    why: "Blurred by noise, a point could have come from either group, so its weight moves towards 1. At high noise almost every biased point can be used.",
  },
  {
    preset: "chasm",
    more: { n: 100, level: 0, seed: 1 },
    hide: ["error"],
    ask: "A density chasm. One ratio is learnt at every noise level. The other is learnt on clean points and carried: each noisy point keeps the ratio of its clean point. How large is the squared error of the first, in per cent of the second's?",
    answer: () => curves && curves.share,
    why: "On clean points no reference lies where biased points lie, and a discriminator can only guess how far apart they are. Where noise closes the chasm there is something to learn.",
  },
  {
    preset: "rare",
    more: { n: 100, level: 3, seed: 1 },
    hide: ["samples"],
    ask: "“Weights only” weights the loss at every level but does not move its target. The truth is 50 % on the right, the biased set has 10 %. What share of its samples lies right?",
    answer: () => models["weight-only"] && models["weight-only"].right / SAMPLES,
    why: "Such a weight says which noisy points matter. It does not say what to answer there, so the best denoiser is still that of the two sets mixed. Only the correction moves it.",
  },
  {
    preset: "rare",
    more: { n: 25, level: 3, seed: 1 },
    hide: ["samples"],
    ask: "DSM on 25 references alone. How many of its samples lie nearer to one of the 25 than to one of 25 fresh points? Chance gives 50 %.",
    answer: () => models["dsm-ref"] && models["dsm-ref"].nearer / SAMPLES,
    why: "With so few references the model learns the points, not the distribution. TIW-DSM has 1,000 biased points to draw its variety from.",
  },
  {
    preset: "rare",
    more: { n: 25, level: 3, seed: 2 },
    hide: [],
    ask: "25 references are drawn from an even source, so their own right share varies from draw to draw. How many percentage points to either side of 50 % does it take to cover 95 of 100 draws?",
    unit: "points",
    answer: () => 1.96 * Math.sqrt(0.25 / 25),
    why: "No method that learns from 25 references can know the truth better than they do. Press “Draw new references” a few times and watch all methods move together.",
  },
];
let game = null; // {round, points, open}

function cover() {
  const hidden = game && game.open ? ROUNDS[game.round].hide : [];
  element.querySelectorAll("[data-hide]").forEach((part) => {
    const off = hidden.includes(part.dataset.hide);
    part.classList.toggle("covered", off);
    for (const inner of part.children) inner.inert = off;
  });
  // What sets the answer stands still until then; nobody loses a score by a slip of the hand.
  for (const part of element.querySelectorAll("[data-asked]")) part.inert = Boolean(game?.open);
}
function leave_game() {
  if (game) {
    game = null;
    cover();
    redraw();
    show_game();
  }
}
function start_round(round) {
  game = { round, points: round ? game.points : 0, open: true };
  cover();
  show_game();
  element.querySelector(".ask").focus(); // so that it is read out
  choose(ROUNDS[round].preset, ROUNDS[round].more);
}
// One point less for every three per cent off.
const points_for = (guess, truth) => Math.max(0, 10 - Math.floor(Math.abs(guess - truth) / 0.03));

function reveal(guess) {
  const truth = ROUNDS[game.round].answer();
  if (truth === null || truth === undefined) return;
  const won = points_for(guess, truth);
  game = { ...game, open: false, points: game.points + won, guess, truth, won };
  cover();
  redraw();
  show_game();
}
function ready_to_reveal() {
  const button = $("reveal");
  if (!button) return;
  const ready = ROUNDS[game.round].answer() !== null && ROUNDS[game.round].answer() !== undefined;
  button.disabled = !ready;
  button.textContent = ready ? "Reveal" : "Working it out…";
}

function show_game() {
  const box = $("guess");
  if (!game) {
    box.innerHTML = `<div class="ex-bar"><div><div class="chart-title">Predict, then see</div><div class="hint">Six guesses, ten points each. What would answer them is hidden, and the setting stands still, until you have guessed.</div></div><button type="button" class="ghost" data-start>Start</button></div>`;
    $("start").onclick = () => start_round(0);
    return;
  }
  const most = 10 * ROUNDS.length,
    round = ROUNDS[game.round],
    told = (share) => (round.unit ? `${Math.round(100 * share)} ${round.unit}` : percent(share)),
    head = `<div class="ex-bar"><div class="chart-title">Prediction ${game.round + 1} of ${ROUNDS.length}</div><div class="hint">${game.points} of ${most} points so far <button type="button" class="link" data-leave>Leave</button></div></div><p class="ask" tabindex="-1">${round.ask}</p>`;
  if (game.open) {
    box.innerHTML = `${head}<form class="guess"><label>Your guess <output data-guessed>${told(0.5)}</output><input type="range" min="0" max="100" value="50" data-slide></label><button class="ghost strong" data-reveal disabled>Working it out…</button></form>`;
    $("slide").oninput = (e) => {
      $("guessed").textContent = told(e.target.value / 100);
    };
    box.querySelector("form").onsubmit = (e) => {
      e.preventDefault();
      reveal($("slide").value / 100);
    };
    ready_to_reveal();
  } else {
    const last = game.round + 1 === ROUNDS.length;
    const end = last ? `That makes <b>${game.points} of ${most}</b> points.` : "";
    box.innerHTML = `${head}<p class="told" role="status">It is <b>${told(game.truth)}</b>. You said ${told(game.guess)}: <b>${game.won} of 10 points</b>. ${round.why} ${end}</p><button type="button" class="ghost strong" data-next>${last ? "Play again" : "Next"}</button>`;
    $("next").onclick = () => start_round(last ? 0 : game.round + 1);
    $("next").focus();
  }
  $("leave").onclick = () => {
    leave_game();
    $("start").focus();
  };
}
function wire_game() {
  show_game();
}
