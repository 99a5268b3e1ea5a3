"use strict";
// The pages of a study. data.js says what is shown, collects.js whether answers can be sent. Texts of people and of the
// plan are always set as text, never as markup.
(() => {
  const study = window.STUDY;
  const main = document.getElementById("main");
  const given = new URLSearchParams(location.search).get("participant");
  const number = /^[1-9]\d{0,8}$/.test(given ?? "") ? Number(given) : null;
  const place = `soke-study ${study.hash} ${number ?? ""}`;
  const RETRY = 3000; // ms
  const LONGEST = 86400; // seconds that an answer takes, as far as they are told: a day, as pages stay open over night
  let state, kept = true, sending = false, shownAt = 0;

  // Elements

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value != null) element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child != null));
    return element;
  }

  function say(key, ...values) {
    return study.words[state.language][key].replace(/\{(\d)\}/g, (_, n) => values[n]);
  }

  const written = (texts) => texts[state.language];
  // Without what a pasted text may hold and an answer may not: signs of control, half characters.
  const typed = (text) => text.replace(/\r\n?/g, "\n").replace(/[\0-\x08\x0b-\x1f\x7f\ud800-\udfff]/gu, " ").trim();
  const asked = (name) => (study.questions[name] ? written(study.questions[name]) : say(name));

  // What is kept on this device

  function token() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function drawn(count) {
    return crypto.getRandomValues(new Uint32Array(1))[0] % count;
  }

  function preferred() {
    const wanted = navigator.languages.map((language) => language.slice(0, 2));
    return wanted.find((language) => study.languages.includes(language)) ?? study.languages[0];
  }

  function begun() {
    const form = number === null ? drawn(study.forms.length) : (number - 1) % study.forms.length;
    return { participant: token(), form, language: preferred(), records: [], sent: 0 };
  }

  function load() {
    try {
      const found = JSON.parse(localStorage.getItem(place));
      if (found && study.forms[found.form] && study.languages.includes(found.language)) return found;
    } catch (error) {
      kept = false;
    }
    return begun();
  }

  function keep() {
    try {
      localStorage.setItem(place, JSON.stringify(state));
    } catch (error) {
      kept = false;
    }
  }

  // Answers

  function record(item, answers) {
    state.records.push({
      plan: study.hash, participant: state.participant, form: state.form, item, answers,
      seconds: Math.min(Math.round((performance.now() - shownAt) / 100) / 10, LONGEST),
    });
    keep();
    send();
    show();
  }

  async function send() {
    if (!window.STUDY_COLLECTS || sending) return;
    sending = true;
    while (state.sent < state.records.length) {
      const of = state.participant;
      let answer = null;
      try {
        answer = await fetch("answers", {
          method: "POST", headers: { "Content-Type": "application/json" },
          body: JSON.stringify(state.records[state.sent]),
        });
      } catch (error) {
        // the server cannot be reached: tried again below
      }
      if (of !== state.participant) continue;
      // 409: it has this answer already
      if (answer && (answer.ok || answer.status === 409)) {
        state.sent += 1;
        keep();
        footer();
      } else {
        footer();
        await new Promise((done) => setTimeout(done, RETRY));
      }
    }
    sending = false;
    if (ended()) show();
  }

  const waiting = () => (window.STUDY_COLLECTS ? state.records.length - state.sent : 0);
  const ended = () => state.records.length > study.forms[state.form].length;

  function save() {
    const lines = state.records.map((one) => JSON.stringify(one) + "\n");
    const address = URL.createObjectURL(new Blob(lines, { type: "application/x-ndjson" }));
    const name = `answers-${study.hash}-${state.participant.slice(0, 8)}.jsonl`;
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  const saveButton = (main = false) => make("button", { type: "button", onclick: save, class: main ? "main" : null }, say("save"));

  // Screens

  function show() {
    document.documentElement.lang = state.language;
    document.title = written(study.title);
    shownAt = performance.now();
    const done = state.records.length - 1;
    header(done);
    footer();
    const screen = done < 0 ? welcome() : ended() ? end() : done === 0 && !state.told ? instructions() : page(done);
    main.replaceChildren(screen);
    window.scrollTo(0, 0);
    main.querySelector("h1").focus({ preventScroll: true });
  }

  const heading = (text) => make("h1", { tabindex: "-1" }, text);

  function header(done) {
    const all = study.forms[state.form].length;
    const text = done >= 0 && !ended() && state.told ? say("of", done + 1, all) : "";
    document.getElementById("progress").replaceChildren(
      ...(text ? [text, make("progress", { max: all, value: done, "aria-label": text })] : []));
    const options = study.languages.map((language) =>
      make("option", { value: language, lang: language, selected: language === state.language }, study.words[language].name));
    const choose = make("select", { "aria-label": say("language"), onchange: (event) => {
      state.language = event.target.value;
      keep();
      show();
      document.querySelector("#language select").focus();
    } }, ...options);
    document.getElementById("language").replaceChildren(...(study.languages.length > 1 ? [choose] : []));
  }

  function footer() {
    const parts = [];
    if (!kept) parts.push(make("strong", {}, say("no_storage")));
    if (state.records.length) parts.push(saveButton(), make("span", {}, say("code", state.participant.slice(0, 8))));
    if (waiting() > 1) parts.push(make("span", { role: "status" }, say("waiting", waiting())));
    document.getElementById("footer").replaceChildren(...parts);
  }

  function welcome() {
    const details = study.about.map((detail) => {
      const values = Object.entries(detail.options);
      if (values.length) {
        return radios(detail.name, written(detail.text), [
          ...values.map(([value, text]) => [value, written(text)]), ["", say("no_answer")]], { listed: true, checked: "" });
      }
      return make("div", {}, make("label", { class: "label", for: `about-${detail.name}` }, written(detail.text)),
        make("input", { type: "text", id: `about-${detail.name}`, name: detail.name, maxlength: "200", autocomplete: "off" }));
    });
    return make("form", { class: "narrow", onsubmit: (event) => {
      event.preventDefault();
      const values = new FormData(event.target);
      const about = {};
      for (const detail of study.about) {
        const value = typed(values.get(detail.name) ?? "");
        if (value) about[detail.name] = value;
      }
      record("start", { consent: true, about });
    } },
    heading(written(study.title)), make("p", {}, written(study.consent)),
    details.length ? make("h2", {}, say("about")) : null,
    details.length ? make("p", { class: "hint" }, say("about_hint")) : null,
    ...details, make("div", { class: "next" }, make("button", { class: "main" }, say("agree"))));
  }

  function instructions() {
    return make("div", { class: "narrow" }, heading(say("how")), make("p", {}, say("how_text")),
      make("div", { class: "next" }, make("button", { class: "main", type: "button", onclick: () => {
        state.told = true;
        keep();
        show();
      } }, say("begin"))));
  }

  function end() {
    const complete = window.STUDY_COLLECTS && waiting() === 0;
    return make("div", { class: "narrow" }, heading(say("end")),
      make("p", {}, complete ? say("end_sent") : window.STUDY_COLLECTS ? say("waiting", waiting()) : say("end_save")),
      complete ? null : make("p", {}, saveButton(true)),
      make("p", {}, say("end_code"), " ", make("code", {}, state.participant.slice(0, 8))),
      number === null && (complete || !window.STUDY_COLLECTS) ? make("p", {}, make("button", { type: "button", onclick: () => {
        try {
          localStorage.setItem(`${place}${state.participant}`, JSON.stringify(state)); // nobody's answers are lost
        } catch (error) {
          kept = false;
        }
        state = { ...begun(), language: state.language };
        keep();
        show();
      } }, say("another"))) : null);
  }

  // One item

  function page(position) {
    const [number, swapped, order] = study.forms[state.form][position];
    const item = study.items[number];
    const files = swapped ? [...item.videos].reverse() : item.videos;
    const player = videos(files, () => record(number, { skipped: true }));
    const message = make("div", { class: "message", role: "alert" });
    const questions = questionsOf(item, order);
    return make("form", { novalidate: true, onsubmit: (event) => {
      event.preventDefault();
      const answers = answersOf(item, new FormData(event.target));
      const wrong = player.unseen() ? "not_seen" : answers ? null : "not_answered";
      if (wrong === null) record(number, answers);
      else message.replaceChildren(say(wrong));
    } },
    heading(say(item.task)),
    item.text === undefined ? null : make("div", {}, say("sentence"), make("div", { class: "sentence", lang: item.lang }, item.text)),
    player.element, questions, make("div", { class: "next" }, message, make("button", { class: "main" }, say("next"))));
  }

  function questionsOf(item, order) {
    if (item.task === "prefer") {
      return make("div", {}, ...item.questions.map((name) => radios(name, asked(name), [
        ["A", say("video", "A")], ["same", say("same")], ["B", say("video", "B")]])));
    }
    if (item.task === "rate") {
      const numbers = [0, 1, 2, 3, 4].map((value) => [String(value), String(value)]);
      return make("div", { class: "scales" }, ...item.questions.map((name) => radios(name, asked(name), numbers, {
        hint: study.questions[name] ? null : say(`${name}_hint`), ends: true })));
    }
    if (order.length) {
      return make("div", { class: "narrow" }, radios("choice", say("choose"), [
        ...order.map((option) => [String(option), item.options[option], item.lang]), ["unknown", say("dont_know")]], { listed: true }));
    }
    return make("fieldset", { class: "narrow" }, make("label", { class: "label", for: "text" }, say("write"),
      make("span", { class: "hint" }, say("write_hint"))),
    make("textarea", { id: "text", name: "text", maxlength: "1000" }),
    make("div", { class: "tiles listed" }, make("label", {}, make("input", { type: "checkbox", name: "nothing" }), say("understood_nothing"))));
  }

  /** The answers in a form, or null where one is lacking. */
  function answersOf(item, values) {
    if (item.task === "comprehend") {
      if (item.options.length) {
        const choice = values.get("choice");
        return choice === null ? null : { choice: choice === "unknown" ? choice : Number(choice) };
      }
      const text = typed(values.get("text"));
      return text || values.get("nothing") ? { text } : null;
    }
    const answers = {};
    for (const name of item.questions) {
      const value = values.get(name);
      if (value === null) return null;
      answers[name] = item.task === "rate" ? Number(value) : value;
    }
    return answers;
  }

  /** options: [value, text, language of the text] each */
  function radios(name, text, options, { hint = null, ends = false, listed = false, checked = null } = {}) {
    return make("fieldset", {}, make("legend", {}, text, hint && make("span", { class: "hint" }, hint)),
      make("div", { class: listed ? "tiles listed" : "tiles" }, ...options.map(([value, label, lang]) =>
        make("label", { lang }, make("input", { type: "radio", name, value, checked: value === checked }), make("span", {}, label)))),
      ends ? make("div", { class: "ends", "aria-hidden": "true" }, make("span", {}, say("least")), make("span", {}, say("most"))) : null);
  }

  function videos(files, skip) {
    const seen = new Set(), broken = make("div", { class: "controls", role: "alert" });
    const names = files.length > 1 ? ["A", "B"] : [""];
    const named = (n) => (names[n] ? say("video", names[n]) : say("single"));
    const clips = files.map((file, n) => make("video", {
      src: file, playsinline: true, preload: "auto", disablepictureinpicture: true,
      "aria-label": named(n), onclick: () => toggle([n]),
      onended: () => {
        seen.add(n);
        marks[n].replaceChildren(` ✓ ${say("seen")}`);
        label();
      },
      onplay: () => label(), onpause: () => label(),
      ontimeupdate: () => { places[n].value = clips[n].currentTime / (clips[n].duration || 1); },
      onerror: () => broken.replaceChildren(say("broken"), make("button", { type: "button", onclick: skip }, say("skip"))),
    }));
    for (const clip of clips) clip.muted = true;
    const marks = clips.map(() => make("span", { class: "seen" }));
    // beside the picture, as the browser's own controls lie on the hands
    const places = clips.map((clip, n) => make("input", {
      type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": say("place", named(n)),
      oninput: (event) => {
        clip.pause();
        clip.currentTime = event.target.value * (clip.duration || 0);
      },
    }));
    const figures = clips.map((clip, n) => make("figure", {}, make("figcaption", {}, named(n), marks[n]), clip, places[n]));
    const sets = files.length > 1 ? [[0], [0, 1], [1]] : [[0]];
    const buttons = sets.map((set) => make("button", { type: "button", onclick: () => toggle(set) }));
    const half = make("button", { type: "button", "aria-pressed": "false", onclick: () => {
      const slow = half.getAttribute("aria-pressed") === "false";
      half.setAttribute("aria-pressed", String(slow));
      for (const clip of clips) clip.playbackRate = slow ? 0.5 : 1;
    } }, say("half"));

    const playing = (set) => clips.every((clip, n) => (!clip.paused && !clip.ended) === set.includes(n));

    function toggle(set) {
      const pause = playing(set);
      for (const clip of clips) clip.pause();
      if (pause) return;
      const together = set.length > 1;
      for (const n of set) {
        if (together || clips[n].ended) clips[n].currentTime = 0;
        clips[n].play().catch(() => {}); // its error event speaks
      }
    }

    function label() {
      sets.forEach((set, n) => {
        const play = set.length > 1 ? say("play_both") : names[set[0]] ? say("play_one", names[set[0]]) : say("play");
        buttons[n].replaceChildren(playing(set) ? say("pause") : play);
      });
    }

    label();
    return {
      element: make("div", {}, make("div", { class: files.length > 1 ? "videos" : "videos single" }, ...figures),
        broken, make("div", { class: "controls" }, ...buttons, half)),
      unseen: () => seen.size < files.length,
    };
  }

  window.addEventListener("storage", (event) => {
    if (event.key === place) location.reload(); // another tab goes on with the same answers
  });
  state = load();
  keep();
  show();
  send();
})();
