(function () {
  "use strict";
  var bar = document.querySelector(".controls");
  if (!bar) { return; }
  var part = bar.closest("section");
  var list = function (root, query) { return Array.prototype.slice.call(root.querySelectorAll(query)); };
  var words = function (node, name) { return (node.getAttribute(name) || "").split(" ").filter(Boolean); };
  var sections = list(part, "[data-reader]").map(function (node) {
    return { node: node, reader: node.getAttribute("data-reader"), box: document.createElement("div") };
  });
  var questions = [];
  sections.forEach(function (section) {
    var own = list(section.node, "details.qa[data-roles]");
    section.box.className = "asked";
    var before = own[0] || section.node.querySelector("aside.note");
    before.parentNode.insertBefore(section.box, before);
    own.forEach(function (node) {
      section.box.appendChild(node);
      questions.push({
        node: node, home: section, roles: words(node, "data-roles"), specialties: words(node, "data-specialties"),
        stage: node.getAttribute("data-stage"), level: node.getAttribute("data-level"),
        rank: Number(node.getAttribute("data-rank")) || 0
      });
    });
  });
  var keys = ["role", "specialty", "stage", "level"];
  var state = { role: "", specialty: "", stage: "", level: "", test: false, at: 0 };
  var buttons = list(bar, "[data-role]");
  var selects = list(bar, "select[data-facet]");
  var count = bar.querySelector(".count");
  var actions = document.createElement("div");
  actions.className = "actions";
  function button(label, press) {
    var b = document.createElement("button");
    b.type = "button";
    b.textContent = label;
    b.addEventListener("click", press);
    actions.appendChild(b);
    return b;
  }
  var shown = [];
  function isOpen() { return shown.length > 0 && shown.every(function (q) { return q.node.open; }); }
  var reveal = button("Show all answers", function () {
    var open = !isOpen();
    shown.forEach(function (q) { q.node.open = open; });
    label();
  });
  var test = button("Self-test, one at a time", function () { state.test = !state.test; state.at = 0; draw(); });
  var back = button("Previous", function () { step(-1); });
  var next = button("Next", function () { step(1); });
  bar.insertBefore(actions, count);
  bar.hidden = false;

  function label() {
    var open = isOpen();
    reveal.setAttribute("aria-pressed", String(open));
    reveal.textContent = open ? "Hide all answers" : "Show all answers";
  }
  function fit(q) {
    if (!state.specialty || !q.specialties.length) { return 0; }
    return q.specialties.indexOf(state.specialty) >= 0 ? -1 : 1;
  }
  function chosen(q) {
    return (!state.role || q.roles.indexOf(state.role) >= 0) && (!state.stage || q.stage === state.stage) &&
      (!state.level || q.level === state.level);
  }
  function step(by) {
    state.at = (state.at + by + shown.length) % shown.length;
    draw();
    var current = shown[state.at];
    if (current) { current.node.querySelector("summary").focus(); }
  }
  function draw() {
    var ordered = questions.slice().sort(function (a, b) { return fit(a) - fit(b) || a.rank - b.rank; });
    var target = state.role && sections.filter(function (s) { return s.reader === state.role; })[0];
    ordered.forEach(function (q) { (target && chosen(q) ? target : q.home).box.appendChild(q.node); });
    // in the order in which they now stand on the page
    shown = [];
    sections.forEach(function (s) {
      ordered.forEach(function (q) { if (chosen(q) && q.node.parentNode === s.box) { shown.push(q); } });
    });
    state.at = Math.min(state.at, Math.max(shown.length - 1, 0));
    questions.forEach(function (q) { q.node.hidden = shown.indexOf(q) < 0 || (state.test && shown[state.at] !== q); });
    if (state.test) { shown.forEach(function (q) { q.node.open = false; }); }
    sections.forEach(function (s) {
      var empty = !s.box.querySelector("details.qa:not([hidden])");
      s.node.hidden = Boolean(state.role && s.reader !== state.role) ||
        (empty && Boolean(state.test || state.stage || state.level));
    });
    if (keys.some(function (k) { return state[k]; }) || state.test) {
      // what was asked for is not left closed
      list(part, "details.part").concat(list(document, "#" + part.id + " > details.part")).forEach(function (d) {
        if (!d.closest("[hidden]")) { d.open = true; }
      });
    }
    buttons.forEach(function (b) {
      b.setAttribute("aria-pressed", String(b.getAttribute("data-role") === state.role));
    });
    selects.forEach(function (s) { s.value = state[s.getAttribute("data-facet")]; });
    test.setAttribute("aria-pressed", String(state.test));
    back.hidden = next.hidden = !state.test || shown.length < 2;
    reveal.hidden = state.test;
    label();
    var n = shown.length, first = shown.filter(function (q) { return fit(q) < 0; }).length;
    count.textContent = state.test && n ? "Question " + (state.at + 1) + " of " + n :
      n + (n === 1 ? " question" : " questions") + (first ? ", " + first + " of them of this specialty, first" : "");
  }
  function keep() {
    var pairs = keys.filter(function (k) { return state[k]; }).map(function (k) { return k + "=" + state[k]; });
    if (window.history && history.replaceState) {
      history.replaceState(null, "", "#" + (pairs.length ? pairs.join("&") : part.id));
    }
  }
  function choose(key, value) { state[key] = value; state.at = 0; draw(); keep(); }
  buttons.forEach(function (b) {
    b.addEventListener("click", function () { choose("role", b.getAttribute("data-role")); });
  });
  selects.forEach(function (s) {
    s.addEventListener("change", function () { choose(s.getAttribute("data-facet"), s.value); });
  });
  list(document, "nav.readers a").forEach(function (a) {
    a.addEventListener("click", function (event) {
      var role = a.getAttribute("data-role");
      event.preventDefault();
      choose("role", role);
      part.scrollIntoView();
      buttons.forEach(function (b) {
        if (b.getAttribute("data-role") === role) { b.focus({ preventScroll: true }); }
      });
    });
  });
  questions.forEach(function (q) { q.node.addEventListener("toggle", label); });
  function offered(key, value) {
    return buttons.some(function (b) { return key === "role" && b.getAttribute("data-role") === value; }) ||
      selects.some(function (s) {
        return s.getAttribute("data-facet") === key &&
          list(s, "option").some(function (o) { return o.value === value; });
      });
  }
  function read() {
    var found = false;
    if (location.hash.indexOf("=") < 0) { return; }
    location.hash.slice(1).split("&").forEach(function (pair) {
      var at = pair.indexOf("="), key = pair.slice(0, at), value = pair.slice(at + 1);
      if (keys.indexOf(key) >= 0 && offered(key, value)) { state[key] = value; found = true; }
    });
    if (found) { draw(); part.scrollIntoView(); }
  }
  window.addEventListener("hashchange", read);
  draw();
  read();
})();
