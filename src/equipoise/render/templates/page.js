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
  if (contents && window.matchMedia && !window.matchMedia("(min-width: 68rem)").matches) { contents.open = false; }
  var opened = [];
  window.addEventListener("beforeprint", function () {
    opened = all("details.qa:not([open])");
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
