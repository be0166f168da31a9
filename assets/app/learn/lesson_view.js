// Lesson 1 on the page: the pictures of the chosen level, the charts over all levels, the handles and sliders.
const uncovered = (name) => !element.querySelector(`[data-hide~="${name}"].covered`);

function draw_planes() {
  const sigma = LEVELS[state.level],
    reach = reach_of(sigma),
    sheet = paper($("sets"));
  if (!sheet) return;
  const noise = random_stream(31),
    biased = add_noise(sets.biased, sigma, noise),
    reference = add_noise(sets.reference, sigma, noise);
  frame(sheet, reach);
  dots(sheet, biased, reach, colour("biased"), 1.9, 0.42);
  dots(sheet, reference, reach, colour("reference"), 2.4, 0.85);
  $("sets").setAttribute(
    "aria-label",
    `Scatter of both sets at noise level ${sigma_name(sigma)}: ${percent(state.biased)} of the biased points and ${percent(state.reference)} of the references come from the right group.`,
  );
  place_handles(reach);
  const fields = {
    truth: (x, y) => log_ratio(sets.pair, x, y, sigma),
    "level-ratio": (x, y) => read_ratio(level_fit, x, y),
    "clean-ratio": (x, y) => read_ratio(clean_fit, x, y),
  };
  const random = random_stream(77),
    test = new Float64Array(800);
  test.set(add_noise(sample_mixture(sets.pair.biased, 200, random), sigma, random));
  test.set(add_noise(sample_mixture(sets.pair.reference, 200, random), sigma, random), 400);
  for (const [name, log_r] of Object.entries(fields)) {
    field($(name), log_r, reach);
    const error = name === "truth" ? null : ratio_error(log_r, sets.pair, test, sigma);
    if (error !== null)
      $(name.replace("ratio", "error")).textContent = uncovered("error")
        ? `root mean square error ${plain(error)}`
        : "root mean square error ?";
    const learnt = {
      truth: "the truth",
      "level-ratio": "learnt at this level",
      "clean-ratio": "learnt on clean points, asked at noisy points",
    };
    const [left, right] = [0, 1].map((k) => plain(log_r(...state.at[1][k]), 1));
    $(name).setAttribute(
      "aria-label",
      `Map of log r at noise level ${sigma_name(sigma)}, ${learnt[name]}: ${left} in the reference's left group, ` +
        `${right} in its right group.`,
    );
  }
}

function draw_curves() {
  if (!curves) return;
  const { error, ess, true_ess, share } = curves,
    here = state.level,
    most = Math.max(...error, 1);
  const ticks = [0.1, 0.3, 1, 3, 10, 30, 100].filter((v) => v <= 1.6 * most);
  level_chart($("error-chart"), {
    sigmas: LEVELS,
    chosen: here,
    low: 0.1,
    high: Math.max(1, 1.2 * most),
    log: true,
    ticks,
    show: (v) => String(v),
    lines: [
      { values: error.map(() => error[0]), colour: "var(--biased)", dash: "6 5" },
      { values: error, colour: "var(--debiased)" },
    ],
    alt: `Error of log r from the lowest to the highest noise level: ${error.map((e) => plain(e)).join(", ")}. The clean ratio's, ${plain(error[0])}, is carried to every level.`,
  });
  $("error-says").innerHTML =
    `Over all levels the squared error is <b>${percent(share)}</b> of the carried ratio's. At this level: ${plain(error[here])}, carried: ${plain(error[0])}.`;
  level_chart($("ess-chart"), {
    sigmas: LEVELS,
    chosen: here,
    low: 0,
    high: 1,
    ticks: [0, 0.25, 0.5, 0.75, 1],
    show: (v) => `${100 * v} %`,
    lines: [
      { values: true_ess, colour: "var(--ink)", dash: "2 4" },
      { values: ess, colour: "var(--debiased)" },
    ],
    alt: `Effective sample size from the lowest to the highest noise level: true weights ${true_ess.map((e) => percent(e)).join(", ")}; learnt weights ${ess.map((e) => percent(e)).join(", ")}.`,
  });
  const worth = (share) => Math.round(1000 * share).toLocaleString("en");
  $("ess-says").innerHTML =
    `At this level 1,000 biased points, weighted, are worth <b>${worth(ess[here])}</b> ` +
    `(true weights: ${worth(true_ess[here])}); clean, ${worth(ess[0])}.`;
}

function show_settings() {
  $("sigma").textContent = sigma_name(LEVELS[state.level]);
  $("level").value = state.level;
  $("level").setAttribute("aria-valuetext", `noise level ${sigma_name(LEVELS[state.level])}`);
  element.querySelectorAll("[data-count]").forEach((out) => {
    out.textContent = state.n;
  });
  for (const [name, value, said] of [
    ["n", state.n, null],
    ["biased", 100 * state.biased, "biased-share"],
    ["reference", 100 * state.reference, "reference-share"],
    ["width", state.width, "width-name"],
  ]) {
    $(name).value = value;
    if (said) $(said).textContent = name === "width" ? plain(value, 1) : `${Math.round(value)} %`;
  }
  const kept = !changed().length;
  $("about").textContent = `${PRESETS[state.preset].about}${kept ? "" : " Changed since."}`;
  segments(
    "presets",
    Object.entries(PRESETS).map(([key, p]) => [key, p.title]),
    kept && state.preset,
    choose,
  );
  segments(
    "drag",
    [
      ["both", "both"],
      ["biased", "biased"],
      ["reference", "reference"],
    ],
    state.drag,
    (key) => {
      state.drag = key;
      show_settings();
      draw_planes();
    },
  );
}

function segments(where, options, chosen, choose_one) {
  const box = $(where),
    pressed = (key) => String(key === chosen);
  if (box.children.length !== options.length)
    box.innerHTML = options.map(([key, title]) => `<button type="button" data-key="${key}">${title}</button>`).join("");
  box.querySelectorAll("button").forEach((b) => {
    b.setAttribute("aria-pressed", pressed(b.dataset.key));
    b.onclick = () => choose_one(b.dataset.key);
  });
}

// One ring for each group, of the set or sets that are dragged.
function place_handles(reach) {
  const box = $("handles"),
    which = state.drag === "reference" ? 1 : 0;
  while (box.children.length < 2) box.append(make_handle(box.children.length));
  [...box.children].forEach((ring, k) => {
    const [x, y] = state.at[which][k];
    ring.style.left = `${(50 * (x + reach)) / reach}%`;
    ring.style.top = `${(50 * (reach - y)) / reach}%`;
    ring.className = `ring ${state.drag}`;
    ring.setAttribute(
      "aria-label",
      `${GROUPS[k]} group of ${state.drag === "both" ? "both sets" : `the ${state.drag} set`}, at ${plain(x, 1)}, ${plain(y, 1)}. Arrow keys move it.`,
    );
  });
}
function make_handle(k) {
  const ring = document.createElement("button");
  ring.type = "button";
  ring.onkeydown = (e) => {
    const step = { ArrowLeft: [-0.2, 0], ArrowRight: [0.2, 0], ArrowUp: [0, 0.2], ArrowDown: [0, -0.2] }[e.key];
    if (step) {
      e.preventDefault();
      move(k, ...step);
    }
  };
  ring.onpointerdown = (e) => {
    ring.setPointerCapture(e.pointerId);
    ring.grabbed = [e.clientX, e.clientY];
  };
  ring.onpointerup = ring.onpointercancel = () => {
    ring.grabbed = null;
  };
  ring.onpointermove = (e) => {
    if (!ring.grabbed) return;
    const unit = (2 * reach_of(LEVELS[state.level])) / $("sets").clientWidth,
      [x, y] = ring.grabbed;
    ring.grabbed = [e.clientX, e.clientY];
    move(k, unit * (e.clientX - x), -unit * (e.clientY - y));
  };
  return ring;
}
function move(k, dx, dy) {
  touched = true;
  const held = (v) => Math.max(-4, Math.min(4, v));
  state.at = state.at.map((means, set) =>
    state.drag === "both" || state.drag === ["biased", "reference"][set]
      ? means.map(([x, y], j) => (j === k ? [held(x + dx), held(y + dy)] : [x, y]))
      : means,
  );
  follow();
}

function redraw() {
  if (sets && level_fit) {
    draw_planes();
    draw_curves();
    draw_panels();
  }
}

function wire_lesson() {
  make_panels();
  $("level").oninput = (e) => {
    state.level = Number(e.target.value);
    level_fit = fits[state.level] || null;
    if (curves) {
      draw_planes();
      draw_curves();
      show_settings();
      touch();
    } else follow();
  };
  const touch = () => {
    touched = true;
    write_address("ratio", address_fields());
  };
  element.addEventListener("input", () => {
    touched = true;
  });
  $("n").oninput = (e) => {
    state.n = Number(e.target.value);
    follow();
  };
  $("biased").oninput = (e) => {
    state.biased = e.target.value / 100;
    follow();
  };
  $("reference").oninput = (e) => {
    state.reference = e.target.value / 100;
    follow();
  };
  $("width").oninput = (e) => {
    state.width = Number(e.target.value);
    follow();
  };
  $("redraw").onclick = () => {
    touched = true;
    state.seed += 1;
    follow();
  };
  $("link").onclick = (e) => {
    write_address("ratio", address_fields());
    copy_link(e.target);
  };
  new ResizeObserver(redraw).observe($("sets").parentNode);
  new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["class"] }); // light and dark
  const open = () => {
    const fields = read_address("ratio");
    if (fields) {
      if (game?.open) leave_game(); // it asked about another setting
      from_address(fields);
      level_fit = clean_fit = null;
      follow();
      element.scrollIntoView();
    }
    return fields;
  };
  addEventListener("hashchange", open);
  wire_game();
  if (!open()) follow();
}
wire_lesson();
