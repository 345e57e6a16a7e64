// Small conveniences; every view works without them.
(function () {
  "use strict";
  var all = function (root, query) { return Array.prototype.slice.call(root.querySelectorAll(query)); };
  // a choice is shown at once, and is in the address
  all(document, "form[data-auto]").forEach(function (form) {
    form.addEventListener("change", function (event) {
      if (form.checkValidity() && event.target.name) {
        all(form, "select, input").forEach(function (field) { if (!field.value) { field.disabled = true; } });
        try { sessionStorage.setItem("chosen", event.target.name); } catch (nowhere) { /* the page opens at its top */ }
        form.submit();
      }
    });
  });
  // who chose by keyboard goes on from there
  try {
    var chosen = sessionStorage.getItem("chosen");
    sessionStorage.removeItem("chosen");
    all(document, "form[data-auto] [name]").some(function (field) {
      var here = field.name === chosen && (field.type !== "radio" || field.checked);
      if (here) { field.focus({ preventScroll: true }); }
      return here;
    });
  } catch (nowhere) { /* the page opens at its top */ }
  // "Add to report" moves to the figure or table it is for, also where a part of the page has come anew
  function place() {
    all(document, "#to-report button[data-for]").forEach(function (button) {
      var node = document.getElementById(button.getAttribute("data-for"));
      if (!node) { return; }
      var line = document.createElement("p");
      line.className = "add";
      button.setAttribute("form", "to-report");
      line.appendChild(button);
      var around = node.parentNode.classList.contains("scroll") ? node.parentNode : node;
      around.parentNode.insertBefore(line, around.nextSibling);
    });
  }
  place();
  document.addEventListener("htmx:afterSwap", place);
  // files may be dropped on the words that ask for them
  all(document, "label.drop").forEach(function (label) {
    var input = label.querySelector("input[type=file]");
    ["dragenter", "dragover"].forEach(function (name) {
      label.addEventListener(name, function (event) { event.preventDefault(); label.classList.add("over"); });
    });
    label.addEventListener("dragleave", function () { label.classList.remove("over"); });
    label.addEventListener("drop", function (event) {
      event.preventDefault();
      label.classList.remove("over");
      if (event.dataTransfer.files.length) { input.files = event.dataTransfer.files; }
    });
  });
})();
