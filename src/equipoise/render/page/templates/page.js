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
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = all("details.qa:not([open]), details.fold:not([open]):not(#replica-rows)");
    opened.forEach(function (d) { d.open = true; });
  });
  window.addEventListener("afterprint", function () { opened.forEach(function (d) { d.open = false; }); });
  function openTarget() {
    var id = decodeURIComponent(location.hash.slice(1));
    var node = id && document.getElementById(id);
    if (!node) { return; }
    for (var d = node.closest("details"); d; d = d.parentElement && d.parentElement.closest("details")) { d.open = true; }
    for (var s = node.closest("[hidden]"); s; s = s.parentElement && s.parentElement.closest("[hidden]")) { s.hidden = false; }
  }
  window.addEventListener("hashchange", openTarget);
  openTarget();
})();
