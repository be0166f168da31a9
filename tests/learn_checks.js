// What tests/test_learn.py asks of the lessons' arithmetic; it stands behind the files of assets/app/learn.
const checks = {
  mixtures: ({ pair, points, sigma }) =>
    points.map(([x, y]) => [log_ratio(pair, x, y, sigma), log_density(pair.biased, x, y, sigma), ...denoised(pair.reference, x, y, sigma)]),
  draws: ({ pair, n }) => [...sample_mixture(pair.biased, n, random_stream(3))],
  regressions: ({ rows, y, labels, ridge, size }) => {
    const flat = Float64Array.from(rows.flat()), weights = new Float64Array(y.length).fill(1 / y.length);
    return [[...ridge_least_squares(flat, weights, [y], size, ridge)[0]], [...ridge_logistic(flat, weights, labels, size, ridge, null, 30)]];
  },
  // The largest log r on the biased points when each level's fit begins from its neighbour's.
  chasm: ({ pair }) => {
    const a = sample_mixture(pair.biased, 1000, random_stream(7)), b = sample_mixture(pair.reference, 25, random_stream(1025));
    let start = null, most = 0;
    for (const sigma of LEVELS.slice(0, 9)) {
      const fit = fit_ratio(a, b, sigma, 100, start);
      start = fit.coefficients;
      for (let i = 0; i < a.length; i += 2) most = Math.max(most, Math.abs(read_ratio(fit, a[i], a[i + 1])));
    }
    return most;
  },
  slope: ({ pair }) => {
    const a = sample_mixture(pair.biased, 500, random_stream(1)), b = sample_mixture(pair.reference, 100, random_stream(2));
    const fit = fit_ratio(a, b, 1, 3), e = 1e-5, f = (x, y) => read_ratio(fit, x, y);
    const differences = [(f(0.4 + e, -1) - f(0.4 - e, -1)) / (2 * e), (f(0.4, -1 + e) - f(0.4, -1 - e)) / (2 * e)];
    return [differences, ratio_slope(fit, 0.4, -1)];
  },
  // Mean square distance of each objective's denoiser from a mixture's exact one, with a ratio learnt from plenty of points.
  denoisers: ({ pair, mixed, asked }) => {
    const a = sample_mixture(pair.biased, 1000, random_stream(7)), b = sample_mixture(pair.reference, 400, random_stream(9)), sigma = LEVELS[9];
    const many = 12000, more = [pair.biased, pair.reference].map((m, i) => sample_mixture(m, many, random_stream(20 + i)));
    const ratio = fit_ratio(...more, sigma, 1, null, 8, many), row = new Float64Array(WAVES.size), random = random_stream(5);
    const test = add_noise(sample_mixture(pair.reference, 500, random), sigma, random);
    return asked.map(([name, exact]) => {
      const model = fit_denoiser(name, a, b, sigma, ratio, ratio, 3);
      let sum = 0;
      for (let i = 0; i < test.length; i += 2) {
        const d = denoise(model, test[i], test[i + 1], row), e = denoised({ ...pair, mixed }[exact], test[i], test[i + 1], sigma);
        sum += (d[0] - e[0]) ** 2 + (d[1] - e[1]) ** 2;
      }
      return sum / 500;
    });
  },
  sampler: ({ truth }) => {
    const points = sample_ode((l, x, y) => denoised(truth, x, y, LEVELS[l]), LEVELS, 1000, 5);
    return [[...points], energy_distance(points, sample_mixture(truth, 1000, random_stream(1)))];
  },
  measures: ({ a, b }) => [energy_distance(a, b), effective_share([Math.log(5), ...Array(9).fill(Math.log(5 / 9))]), nearer_to(b, a, b)],
  counting: ({ settings }) => [[wilson(37, 300), wilson(0, 50)], rogan_gladen(0.3, 0.9, 0.8), corrected_interval(300, 1000, 0.9, 0.8, 200), settings.map((s) => coverage(s, 2000, 1, 4).held)],
  studies: ({ setting }) => coverage(setting, 2000, 2000, 4).shown,
  // The setting that an address asks for, and the address of one whose groups stand at `at`.
  address: ({ fields, at }) => {
    from_address(fields);
    const asked = { ...state };
    state.at = at;
    from_address(Object.fromEntries(new URLSearchParams(address_fields())));
    return [asked, state.at];
  },
  // Both sets of three draws.
  redrawn: () => [1, 2, 3].map((seed) => {
    state = { ...state, ...PRESETS.rare, preset: "rare", n: 25, seed };
    draw_sets();
    return [[...sets.biased], [...sets.reference]];
  }),
  // The answers of the six predictions, worked out as the page does, without its pictures.
  predictions: () => ROUNDS.map((round) => {
    state = { ...state, ...PRESETS[round.preset], preset: round.preset, ...round.more };
    draw_sets();
    models = {};
    curves = null;
    const asked = round.hide[0];
    if (asked) fits = LEVELS.map((_, level) => full_fit(level));
    if (asked === "ess" || asked === "error") curves = measure_levels();
    if (asked === "samples") for (const name of ["weight-only", "dsm-ref"]) {
      const trained = { [name]: LEVELS.map((_, l) => fit_level(name, l)) };
      models[name] = judged(sample_ode(denoiser_of(name, trained), LEVELS, SAMPLES, 5));
    }
    return round.answer();
  }),
};
