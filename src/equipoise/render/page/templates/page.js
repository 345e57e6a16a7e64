(function () {
  "use strict";
  var all = function (query) { return Array.prototype.slice.call(document.querySelectorAll(query)); };
  var filters = all("fieldset.filter");
  function sift() {
    var ticked = {};
    filters.forEach(function (f) {
      ticked[f.getAttribute("data-group")] = Array.prototype.map.call(
        f.querySelectorAll("input:checked"), function (i) { return i.value; });
    });
    all("tr[data-tags]").forEach(function (row) {
      row.hidden = !row.getAttribute("data-tags").split(" ").every(function (tag) {
        var at = tag.indexOf(":"), values = ticked[tag.slice(0, at)];
        return !values || values.indexOf(tag.slice(at + 1)) >= 0;
      });
    });
  }
  filters.forEach(function (f) { f.hidden = false; f.addEventListener("change", sift); });
  var contents = document.querySelector("nav.contents details");
  var wide = window.matchMedia ? window.matchMedia("(min-width: 68rem)") : { matches: true };
  if (contents && !wide.matches) { contents.open = false; }
  var entries = all("nav.contents a");
  entries.forEach(function (a) {
    a.addEventListener("click", function () { if (!wide.matches) { contents.open = false; } });
  });
  if (window.IntersectionObserver) {
    // the part that is being read is marked in the contents
    var seen = new IntersectionObserver(function (changes) {
      changes.forEach(function (c) {
        if (!c.isIntersecting) { return; }
        entries.forEach(function (a) {
          if (a.getAttribute("href") === "#" + c.target.id) { a.setAttribute("aria-current", "true"); }
          else { a.removeAttribute("aria-current"); }
        });
      });
    }, { rootMargin: "-15% 0px -80% 0px" });
    all("main > section").forEach(function (s) { seen.observe(s); });
  }
  // the head of a table that needs no room to the side stays in sight
  function fit() {
    all(".scroll").forEach(function (s) {
      s.classList.remove("fits");
      if (wide.matches && s.clientWidth && s.scrollWidth <= s.clientWidth) { s.classList.add("fits"); }
    });
  }
  fit();
  window.addEventListener("resize", fit);
  document.addEventListener("toggle", fit, true);
  // sections print whole; what is folded inside them prints where the reader has opened it
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = all("main > section:not(#computed) > details.part:not([open])");
    opened.forEach(function (d) { d.open = true; });
  });
  window.addEventListener("afterprint", function () { opened.forEach(function (d) { d.open = false; }); });
  function openTarget() {
    var id = decodeURIComponent(location.hash.slice(1));
    var node = id && document.getElementById(id);
    if (!node) { return; }
    var own = node.querySelector(":scope > details.part");
    if (own) { own.open = true; }
    for (var d = node.closest("details"); d; d = d.parentElement && d.parentElement.closest("details")) { d.open = true; }
    for (var s = node.closest("[hidden]"); s; s = s.parentElement && s.parentElement.closest("[hidden]")) { s.hidden = false; }
  }
  window.addEventListener("hashchange", openTarget);
  // a link to where one is already: the address does not change, and the section may be closed
  document.addEventListener("click", function (event) {
    var link = event.target.closest && event.target.closest('a[href^="#"]');
    if (link && link.getAttribute("href") === location.hash) { openTarget(); }
  });
  openTarget();
  var every = document.querySelector(".unfold button");
  if (every) {
    var parts = function () { return all("main > section > details.part"); };
    var label = function () {
      var open = parts().every(function (d) { return d.open; });
      every.setAttribute("aria-pressed", String(open));
      every.textContent = open ? "Close every section" : "Open every section";
    };
    every.addEventListener("click", function () {
      var open = every.getAttribute("aria-pressed") !== "true";
      parts().forEach(function (d) { d.open = open; });
      label();
    });
    document.addEventListener("toggle", label, true);
    every.parentNode.hidden = false;
    label();
  }
})();
