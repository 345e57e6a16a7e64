(function () {
  "use strict";
  var slides = Array.prototype.slice.call(document.querySelectorAll("section.slide"));
  var body = document.body, button = document.getElementById("present"), at = 0;
  button.parentNode.hidden = false;
  function here() {
    var id = location.hash.slice(1);
    slides.forEach(function (s, i) { if (s.id === id) { at = i; } });
  }
  function show(i, quiet) {
    at = Math.min(Math.max(i, 0), slides.length - 1);
    slides.forEach(function (s, k) { s.classList.toggle("current", k === at); });
    if (body.classList.contains("noted")) { slides[at].querySelector("details").open = true; }
    if (!quiet && window.history && history.replaceState) { history.replaceState(null, "", "#" + slides[at].id); }
    if (!quiet) {
      slides[at].focus({ preventScroll: true });
      slides[at].scrollIntoView({ block: "start" });
    }
  }
  function present(on) {
    body.classList.toggle("presenting", on);
    if (!on) { body.classList.remove("noted"); }
    button.setAttribute("aria-pressed", String(on));
    show(at);
    if (on && document.documentElement.requestFullscreen) {
      document.documentElement.requestFullscreen().catch(function () { return null; });
    }
    if (!on && document.fullscreenElement) { document.exitFullscreen(); }
  }
  button.addEventListener("click", function () { present(!body.classList.contains("presenting")); });
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) { return; }
    var on = body.classList.contains("presenting"), key = event.key;
    var held = event.target.closest && event.target.closest("button, summary, a, [tabindex='0']");
    if (key === "ArrowRight" || key === "PageDown" || (key === " " && on && !held)) { show(at + 1); }
    else if (key === "ArrowLeft" || key === "PageUp") { show(at - 1); }
    else if (key === "Home") { show(0); }
    else if (key === "End") { show(slides.length - 1); }
    else if (key === "Escape" && on) { present(false); }
    else if ((key === "n" || key === "N") && on) { body.classList.toggle("noted"); show(at); }
    else if (key === "n" || key === "N") {
      var notes = slides[at].querySelector("details");
      notes.open = !notes.open;
    } else { return; }
    event.preventDefault();
  });
  document.addEventListener("fullscreenchange", function () {
    if (!document.fullscreenElement && body.classList.contains("presenting")) { present(false); }
  });
  window.addEventListener("hashchange", function () { here(); show(at); });
  here();
  show(at, true);
})();
