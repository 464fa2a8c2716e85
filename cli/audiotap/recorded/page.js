"use strict";
(() => {
  const one = (query) => document.querySelector(query);
  const all = (query) => [...document.querySelectorAll(query)];
  const canvas = one("#canvas"), cursor = one("#cursor"), scroll = one(".scroll"), aside = one("aside");
  const total = Number(canvas.dataset.seconds);
  const waves = all(".wave");
  const rows = all(".name").map((label, number) => ({
    label,
    wave: waves[number],
    audio: label.querySelector("audio"),
    speech: begins(waves[number]),
    muted: "muted" in label.dataset,
    solo: false,
    mended: 0,
  }));
  const lines = all("aside li").map((item) => ({ item, at: time(item.querySelector("a").hash) }));
  const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];
  const APART = 72, NEAR = 0.02, FAR = 0.5, MOST = 0.25, MEND_EVERY = 500;
  let at = 0, playing = false, speed = 1, zoom = 1, before = 0;

  function begins(wave) {
    const drawn = wave.querySelector("clipPath path").getAttribute("d");
    return [...drawn.matchAll(/M([\d.]+) 0v/g)].map((bar) => (Number(bar[1]) * total) / wave.viewBox.baseVal.width);
  }

  function time(hash) {
    const told = /^#t=(\d+(?:\.\d+)?)$/.exec(hash);
    return told ? Number(told[1]) : null;
  }

  function clock(seconds) {
    const two = (number) => String(number).padStart(2, "0");
    const whole = Math.floor(seconds), hours = Math.floor(whole / 3600);
    return (hours ? hours + ":" : "") + two(Math.floor(whole / 60) % 60) + ":" + two(whole % 60);
  }

  // What is heard

  const sounding = (row) => (rows.some((other) => other.solo) ? row.solo : !row.muted);
  const length = (audio) => (Number.isFinite(audio.duration) ? audio.duration : total);
  const audible = (row) => row.audio && !row.audio.error && sounding(row) && at < length(row.audio) - 0.01;

  function follow(now) {
    const heard = rows.filter(audible);
    const lead = heard.reduce((best, row) => (!best || length(row.audio) > length(best.audio) ? row : best), null);
    if (!lead) at += ((now - before) / 1000) * speed;
    else if (!lead.audio.paused && !lead.audio.seeking) at = lead.audio.currentTime;
    before = now;
    for (const row of rows) {
      const audio = row.audio;
      if (!audio) continue;
      if (!heard.includes(row)) {
        audio.pause();
        continue;
      }
      if (audio.paused) {
        audio.currentTime = at;
        audio.playbackRate = speed;
        audio.play().catch(() => {});
      } else {
        approach(row, row === lead ? 0 : audio.currentTime - at, now);
      }
    }
  }

  function frame(now) {
    if (!playing) return;
    follow(now);
    if (at >= total) {
      at = total;
      play(false);
    }
    draw(true);
    requestAnimationFrame(frame);
  }

  function play(wanted) {
    playing = wanted;
    document.body.classList.toggle("playing", playing);
    one("#play").setAttribute("aria-label", playing ? "Pause" : "Play");
    if (playing) {
      if (at >= total) at = 0;
      before = performance.now();
      requestAnimationFrame(frame);
    } else {
      for (const row of rows) row.audio?.pause();
    }
  }

  // A seek takes a moment, in which the others go on: small distances are closed by playing a little faster or slower.
  function approach(row, ahead, now) {
    if (Math.abs(ahead) > FAR && now - row.mended > MEND_EVERY) {
      row.audio.currentTime = at;
      row.mended = now;
    }
    const rate = Math.abs(ahead) > NEAR ? speed * (1 - Math.max(-MOST, Math.min(MOST, 2 * ahead))) : speed;
    if (row.audio.playbackRate !== rate) row.audio.playbackRate = rate;
  }

  function seek(to) {
    at = Math.min(Math.max(to, 0), total);
    for (const row of rows) if (row.audio && !row.audio.paused) row.audio.currentTime = at;
    draw(true);
  }

  function jump(forward) {
    const begins = rows.filter(sounding).flatMap((row) => row.speech).sort((a, b) => a - b);
    const next = forward ? begins.find((begin) => begin > at + 0.05) : begins.findLast((begin) => begin < at - 1);
    seek(next ?? (forward ? total : 0));
  }

  function choose(row, what) {
    row[what] = !row[what];
    mixer();
  }

  function alone(row) {
    const wanted = !(row && row.solo && rows.every((other) => other === row || !other.solo));
    for (const other of rows) other.solo = other === row && wanted;
    mixer();
  }

  function mixer() {
    for (const row of rows) {
      for (const element of [row.label, row.wave]) element.classList.toggle("silent", !sounding(row));
      row.label.querySelector(".mute")?.setAttribute("aria-pressed", String(row.muted));
      row.label.querySelector(".solo")?.setAttribute("aria-pressed", String(row.solo));
    }
  }

  // What is seen

  function draw(moved) {
    const told = clock(at);
    one("#clock").textContent = told;
    cursor.style.left = (total ? (100 * at) / total : 0) + "%";
    canvas.setAttribute("aria-valuenow", at.toFixed(0));
    canvas.setAttribute("aria-valuetext", told);
    if (!moved) return;
    if (zoom > 1) {
      const place = (at / total) * canvas.clientWidth;
      if (place < scroll.scrollLeft || place > scroll.scrollLeft + scroll.clientWidth - 40) scroll.scrollLeft = place - 80;
    }
    mark();
  }

  function mark() {
    const current = lines.findLast((line) => line.at <= at + 0.05 && !line.item.classList.contains("mark"));
    const marked = one("aside .now");
    if (!aside || current?.item === marked) return;
    marked?.classList.remove("now");
    if (!current) return;
    current.item.classList.add("now");
    const box = aside.getBoundingClientRect(), item = current.item.getBoundingClientRect();
    if (item.top < box.top || item.bottom > box.bottom) aside.scrollTop += item.top - box.top - box.height / 3;
  }

  function ruler() {
    const step = STEPS.find((one) => (one / total) * canvas.clientWidth >= APART) ?? STEPS.at(-1);
    const make = (kind, attributes, text = "") => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      element.textContent = text;
      return element;
    };
    const marks = [];
    for (let number = 0; number * step <= total && total && marks.length < 20000; number++) {
      const seconds = number * step, x = (100 * seconds) / total + "%";
      const tenths = step < 1 ? "." + (Math.round(seconds * 10) % 10) : "";
      marks.push(make("line", { x1: x, x2: x, y1: 14, y2: "100%" }));
      marks.push(make("text", { x, dx: 4, y: 12 }, clock(seconds + 0.001) + tenths));
    }
    one("#times")?.replaceChildren(...marks);
  }

  function magnify(factor) {
    const place = (at / total) * canvas.clientWidth - scroll.scrollLeft;
    zoom = Math.min(Math.max(zoom * factor, 1), Math.max(1, total / 5));
    canvas.style.width = 100 * zoom + "%";
    scroll.scrollLeft = (at / total) * canvas.clientWidth - place;
    ruler();
  }

  function theme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  }

  // What the user does

  const KEYS = {
    " ": () => play(!playing),
    ArrowLeft: (event) => seek(at - (event.shiftKey ? 1 : 5)),
    ArrowRight: (event) => seek(at + (event.shiftKey ? 1 : 5)),
    Home: () => seek(0),
    End: () => seek(total),
    p: () => jump(false),
    n: () => jump(true),
    "+": () => magnify(1.6),
    "=": () => magnify(1.6),
    "-": () => magnify(1 / 1.6),
    t: theme,
    0: () => alone(null),
  };
  rows.slice(0, 9).forEach((row, number) => (KEYS[number + 1] = () => alone(row)));

  document.addEventListener("keydown", (event) => {
    const where = event.target;
    const presses = event.key === " " && where.matches("button, a");
    if (event.ctrlKey || event.metaKey || event.altKey || presses || where.matches("select")) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    seek(((event.clientX - box.left) / box.width) * total);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    place(event);
  });
  canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && place(event));

  one("#play").addEventListener("click", () => play(!playing));
  one("#in").addEventListener("click", () => magnify(1.6));
  one("#out").addEventListener("click", () => magnify(1 / 1.6));
  one("#theme").addEventListener("click", theme);
  one("#speed").addEventListener("change", (event) => {
    speed = Number(event.target.value);
    for (const row of rows) if (row.audio) row.audio.playbackRate = speed;
  });
  for (const row of rows) {
    row.label.querySelector(".mute")?.addEventListener("click", () => choose(row, "muted"));
    row.label.querySelector(".solo")?.addEventListener("click", () => choose(row, "solo"));
    row.audio?.addEventListener("error", () => {
      row.label.classList.add("broken");
      row.label.title = "this browser cannot play the file";
    });
  }
  aside?.addEventListener("click", (event) => {
    const to = time(event.target.closest("a")?.hash ?? "");
    if (to !== null) seek(to);
  });
  addEventListener("hashchange", () => {
    const to = time(location.hash);
    if (to !== null) seek(to);
  });
  addEventListener("resize", ruler);

  ruler();
  mixer();
  seek(time(location.hash) ?? 0);
})();
